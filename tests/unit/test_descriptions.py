"""What the source says of fields, and that nobody reads sources who does not ask."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
from pydantic import BaseModel

from tollway_schemas.descriptions import descriptions


class _Animal(BaseModel):
    legs: int
    """How many it stands on,
    at rest.
    """
    name: str


class _Bird(_Animal):
    wings: int = 2
    """Two."""
    _hidden: int = 0
    """No field."""


def test_a_field_is_described_by_the_text_below_it_and_an_inherited_one_too() -> None:
    assert descriptions(_Bird) == {"legs": "How many it stands on,\nat rest.", "wings": "Two."}


@pytest.mark.parametrize(
    "source", ["", '\n\nclass _Plant(BaseModel):\n    leaves: int\n    """Cut off']
)
def test_without_the_source_that_was_imported_nothing_is_said_of_fields(
    tmp_path: Path, source: str
) -> None:
    file = tmp_path / "plant.py"
    file.write_text(
        "from pydantic import BaseModel\n\n"
        'class _Plant(BaseModel):\n    leaves: int\n    """How many."""\n'
    )
    namespace = runpy.run_path(str(file), run_name="plant")
    file.write_text(source)
    module = ModuleType("plant")
    module.__dict__.update(namespace)

    with patch.dict(sys.modules, plant=module):
        assert descriptions(namespace["_Plant"]) == {}


@pytest.mark.parametrize(
    "module",
    ["tollway", "tollway_workers.cli.run.session", "tollway_workers.cli.worker.command"],
)
def test_no_source_is_read_while_a_process_is_imported(module: str) -> None:
    code = (
        f"import linecache, {module}; "
        "print([name for name in linecache.cache if 'tollway' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "[]\n"
