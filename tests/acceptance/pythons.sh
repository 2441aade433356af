#!/bin/sh
# Runs the unit tests on every other Python 3.11-3.13 that this machine has.
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

mine=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13; do
	[ "$version" = "$mine" ] && continue
	python=$(find_python "$version")
	if [ -z "$python" ]; then
		echo "python$version: not on this machine"
		continue
	fi
	venv=.venv-$version
	stamp=$venv/.installed
	if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
		"$python" -m venv "$venv"
		"$venv/bin/python" -m pip --disable-pip-version-check -q install --upgrade pip
		"$venv/bin/python" -m pip --disable-pip-version-check -q install --editable '.[local]' --group test
		touch "$stamp"
	fi
	echo "python$version: unit tests"
	"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit
done
