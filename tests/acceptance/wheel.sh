#!/bin/sh
# Builds the wheel and uses it in new environments without the sources: the base install is the SDK
# alone, and the bare command then says what to install; with [workers] the command works.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
case $python in /*) ;; */*) python=$top/$python ;; esac

(cd "$top" && "$python" -m build --wheel --outdir "$work/dist" >"$work/build.log" 2>&1) || {
	cat "$work/build.log" >&2
	exit 1
}
wheel=$(ls "$work"/dist/*.whl)
cd "$work"

"$python" -m venv base
base/bin/python -m pip --disable-pip-version-check -q install "$wheel"
base/bin/python -W error -c "
import tollway, tollway_schemas, importlib.util, sys
from tollway import JobProducer
assert 'site-packages' in tollway.__file__, tollway.__file__
extra = [n for n in ('httpx', 'aiohttp', 'typer', 'prometheus_client') if importlib.util.find_spec(n)]
assert not extra, f'the base install pulls in {extra}'
"
if base/bin/tollway --help >out 2>err; then
	echo "the bare command must ask for [workers]" >&2
	exit 1
fi
grep -q 'tollway\[workers\]' err && test "$(wc -l <err)" -eq 1 || {
	echo "the bare command said:" >&2
	cat err >&2
	exit 1
}

"$python" -m venv fleet
fleet/bin/python -m pip --disable-pip-version-check -q install "$wheel[workers]"
fleet/bin/tollway --version
fleet/bin/tollway config init --base-url http://127.0.0.1:9/v1 --model m >out
fleet/bin/tollway config check --json >out
test -f "$(fleet/bin/python -c 'import tollway_workers.local.kafka as k, pathlib; print(pathlib.Path(k.__file__).parent / "jars.lock")')"
echo "the wheel works: $(basename "$wheel")"
