"""The process in which a local model runs: it ends when its stdin does, or on a signal."""

import json
import os
import signal
import sys

from tollway_workers.errors import FleetError
from tollway_workers.local.llm.llama import LlamaServer
from tollway_workers.local.llm.options import ModelOptions, parse
from tollway_workers.local.llm.weights import default_folder, shipped_weights


def serve(options: ModelOptions) -> None:
    """Serve until stdin ends, which it does with the parent, however that one dies."""
    model = shipped_weights(default_folder()) if options.model is None else options.model
    server = LlamaServer(model, options)
    place = {"base_url": server.base_url, "model": options.name}
    sys.stdout.write(json.dumps(place) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


def main() -> int:
    """Read the command line and serve. Exit 0 when told to end, 2 with a sentence if it cannot."""
    # The system's own ways to end: nothing is to be saved, and they work while weights are loaded.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # llama.cpp's threads wait for each other all the time, and spin by default: of two servers on
    # two cores neither answered 8 jobs in 60 s; both did in 22 s when their threads slept instead
    # (one alone is 7 % slower). Read when llama.cpp is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        serve(parse(sys.argv[1:]))
    except FleetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
