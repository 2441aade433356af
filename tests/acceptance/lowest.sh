#!/bin/sh
# Runs the unit tests with the oldest versions that pyproject.toml allows.
set -eu
cd "$(dirname "$0")/../.."
venv=.venv-lowest
if [ ! -f "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
	.venv/bin/python -m venv "$venv"
	"$venv/bin/python" -m pip --disable-pip-version-check -q install uv
	VIRTUAL_ENV=$venv "$venv/bin/uv" pip install -q --resolution lowest-direct \
		--editable '.[local]' --group test
	touch "$venv/.installed"
fi
"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit
