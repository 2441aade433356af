#!/bin/sh
# Runs the unit tests on every other Python 3.11-3.13 that this machine has.
set -eu
cd "$(dirname "$0")/../.."
mine=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13; do
	[ "$version" = "$mine" ] && continue
	if ! "python$version" -c 'import venv' 2>/dev/null; then
		echo "python$version: not on this machine"
		continue
	fi
	venv=.venv-$version
	stamp=$venv/.installed
	if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
		"python$version" -m venv "$venv"
		"$venv/bin/python" -m pip --disable-pip-version-check -q install --upgrade pip
		"$venv/bin/python" -m pip --disable-pip-version-check -q install --editable '.[local]' --group dev
		touch "$stamp"
	fi
	echo "python$version: unit tests"
	"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit
done
