"""Where a worker's copy of stored answers lies: a folder of its own, or none and it is said."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from manual_clock import ManualClock
from samples import NOW

from tollway_workers.app.answer_cache import SharedCache, most_bytes, open_cache
from tollway_workers.cache.database import NAME
from tollway_workers.config.shape.fleet import FleetSettings

DAY = 86_400.0


def settings(folder: Path | None, *, exact: bool = True) -> FleetSettings:
    return FleetSettings.model_validate(
        {
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 4}},
            "routes": {"a": {"lanes": ["main"], "cache": {"exact": exact}}},
            "worker": {} if folder is None else {"cache_folder": str(folder)},
        }
    )


def opened(given: FleetSettings, worker: str = "one") -> SharedCache | None:
    return open_cache({}, given, worker, ManualClock(NOW))


async def test_a_worker_without_a_caching_route_has_no_cache(tmp_path: Path) -> None:
    assert opened(settings(tmp_path / "unused", exact=False)) is None
    assert not (tmp_path / "unused").exists()


async def test_each_worker_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for worker in ("one", "two", "../../three"):
        assert opened(settings(tmp_path), worker) is not None

    found = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "tollway").iterdir())
    assert found == ["tollway/..-..-three", "tollway/one", "tollway/two"]


async def test_where_the_users_folder_cannot_be_written_the_temporary_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))

    assert opened(settings(None)) is not None

    (made,) = (tmp_path / "temporary").iterdir()
    assert (made / "tollway" / "one").is_dir()


async def test_the_temporary_one_is_used_by_a_user_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))

    assert opened(settings(None)) is not None


async def test_a_temporary_folder_that_another_user_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    mine = os.getuid()
    (tmp_path / f"tollway-{mine + 1}").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    assert opened(settings(None)) is None


async def test_a_folder_that_cannot_be_written_is_said_and_every_job_is_called(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.write_text("")

    with structlog.testing.capture_logs() as logs:
        assert opened(settings(file)) is None

    (line,) = logs
    assert "cache_folder" in line["event"]


async def test_copies_of_workers_that_never_came_back_are_removed(tmp_path: Path) -> None:
    ages = {"gone": 8 * DAY, "away": 2 * DAY, "no copy": 0.0}
    for name, age in ages.items():
        folder = tmp_path / "tollway" / name
        folder.mkdir(parents=True)
        if age:
            (folder / NAME).write_bytes(b"x")
            os.utime(folder / NAME, (NOW - age, NOW - age))

    opened(settings(tmp_path))

    left = sorted(path.name for path in (tmp_path / "tollway").iterdir())
    assert left == ["away", "no copy", "one"]


@pytest.mark.parametrize(
    ("configured", "total", "expected"),
    [
        (64, 2**40, 64 * 2**20),
        (64, 0, 64 * 2**20),
        (None, 2**40, 2_560 * 2**20),
        (None, 2**28, 2**26),
    ],
)
def test_a_copy_is_as_large_as_configured_or_a_part_of_a_small_file_system(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configured: int | None,
    total: int,
    expected: int,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=total))

    assert most_bytes(configured, tmp_path) == expected
