"""Instance ids: stable over restarts, never held by two."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tollway_workers.kafka.group.instance import InstanceIdInUse, take_instance_id
from tollway_workers.plain_name import plain_name


def take(folder: Path, wanted: str | None = None) -> str:
    name, lock = take_instance_id(wanted, prefix="tollway", wait=0.05, folder=folder)
    LOCKS.append(lock)
    return name


LOCKS: list[object] = []


@pytest.fixture(autouse=True)
def _free() -> None:
    LOCKS.clear()


def test_slots_of_a_host_are_taken_in_order(tmp_path: Path) -> None:
    names = [take(tmp_path) for _ in range(3)]

    assert [name.rpartition("-")[2] for name in names] == ["0", "1", "2"]
    assert len({name.rpartition("-")[0] for name in names}) == 1


def test_a_slot_that_was_given_back_is_the_next_one_taken(tmp_path: Path) -> None:
    name, lock = take_instance_id(None, prefix="tollway", wait=0.0, folder=tmp_path)
    take(tmp_path)

    lock.release()

    assert take(tmp_path) == name


def test_a_name_that_another_process_has_is_refused_in_a_sentence(tmp_path: Path) -> None:
    take(tmp_path, "mine")

    with (
        capture_logs() as said,
        pytest.raises(InstanceIdInUse, match="'mine' and did not end within 0 s"),
    ):
        take(tmp_path, "mine")

    # It may wait for minutes: who started it sees why.
    assert [(each["worker"], each["seconds"]) for each in said] == [("mine", 0.05)]


def test_any_name_is_a_file_s_name(tmp_path: Path) -> None:
    assert take(tmp_path, "../a b/ü") == "../a b/ü"
    assert [path.name for path in tmp_path.iterdir()] == ["..-a-b--.lock"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("host-1.local", "host-1.local"),
        ("b\u00fcro \u00bd/..\n", "b-ro---..-"),
        ("a" * 300, "a" * 200),
    ],
)
def test_a_name_has_signs_only_that_every_system_takes(text: str, name: str) -> None:
    assert plain_name(text) == name
