"""The child that makes values for schemas: one that takes a minute must not stop the simulator.

A request is a JSON array of a schema, a seed and a count. It says `v` and the values as a JSON
array, or `e` and why there are none.
"""

from collections.abc import Iterator

import orjson

from tollway_workers.local.simulator.values.instances import Unsatisfiable, instances
from tollway_workers.validation.confined_child import serve


def make(request: bytes) -> Iterator[bytes]:
    """What there is to say of one request."""
    schema, seed, count = orjson.loads(request)
    try:
        yield b"v" + orjson.dumps(instances(schema, seed=seed, count=count))
    except Unsatisfiable as error:
        yield b"e" + str(error).encode()


if __name__ == "__main__":
    serve(make)
