"""The simulator of a simulated run: `python -m tollway_workers.local.fleet.simulator_process`."""

import gc

from tollway_workers.importing import importing


def main() -> None:
    """Import, then serve until stdin ends."""
    with importing():
        from tollway_workers.local.fleet.simulated import main as serve
    try:
        serve()
    finally:
        # Python's end looks through all that is left: there is nothing to find.
        gc.freeze()


if __name__ == "__main__":
    main()
