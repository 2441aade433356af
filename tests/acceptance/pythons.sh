#!/bin/sh
# Runs the unit tests on every other Python 3.11-3.13 that this machine has, side by side.
set -eu
cd "$(dirname "$0")/../.."

# On the PATH, or where pyenv keeps those that are not selected.
find_python() {
	for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
		if "$candidate" -c 'import venv' 2>/dev/null; then
			echo "$candidate"
			return
		fi
	done
}

# $1: version, $2: interpreter
unit_tests() {
	venv=.venv-$1
	if [ ! -f "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
		"$2" -m venv "$venv"
		"$venv/bin/python" -m pip --disable-pip-version-check -q install --upgrade pip
		"$venv/bin/python" -m pip --disable-pip-version-check -q install \
			--editable '.[local]' --group test
		touch "$venv/.installed"
	fi
	"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit
}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
mine=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
running=
for version in 3.11 3.12 3.13; do
	[ "$version" = "$mine" ] && continue
	python=$(find_python "$version")
	if [ -z "$python" ]; then
		echo "python$version: not on this machine"
		continue
	fi
	unit_tests "$version" "$python" >"$logs/$version" 2>&1 &
	running="$running $version:$!"
done
status=0
for each in $running; do
	if wait "${each#*:}"; then
		echo "python${each%:*}: $(tail -n 1 "$logs/${each%:*}")"
	else
		status=1
		echo "python${each%:*}: failed"
		cat "$logs/${each%:*}"
	fi
done
exit $status
