"""A key file that others may change or read is warned of."""

import os
from pathlib import Path
from typing import Any

import pytest

from tollway_workers.config.check.key_files import files_that_all_read, files_that_others_write
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import FleetSettings


def _settings(file: Path, **kafka: Any) -> FleetSettings:
    document = {
        "kafka": {"security": kafka},
        "providers": {"p": {"base_url": "https://h/v1", "api_key": {"file": str(file)}}},
        "lanes": {"l": {"provider": "p", "model": "m", "concurrency": 4}},
        "routes": {"r": {"lanes": ["l"]}},
    }
    return build_fleet(document, source="f", environ={})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    file = folder / "key"
    file.write_text("k")
    file.chmod(0o600)
    return file


def _problems(key: Path) -> list[str]:
    return [each.problem for each in files_that_others_write(_settings(key))]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o644])
def test_a_key_file_that_this_user_alone_writes_is_no_worry(key: Path, mode: int) -> None:
    key.chmod(mode)

    assert _problems(key) == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_key_file_that_others_may_write_is_warned_of(key: Path, mode: int) -> None:
    key.chmod(mode)

    warnings = list(files_that_others_write(_settings(key)))

    assert [each.key for each in warnings] == ["providers.p.api_key"]
    assert warnings[0].problem == f"other users may write {key}"


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_so_is_one_in_a_folder_where_others_may_replace_it(key: Path, mode: int) -> None:
    key.parent.chmod(mode)

    assert _problems(key) == [
        f"other users may write the folder {key.parent}, and so replace {key}"
    ]


def test_so_is_one_below_a_folder_that_others_may_replace(key: Path) -> None:
    key.parent.parent.chmod(0o777)

    assert str(key.parent.parent) in _problems(key)[0]


def test_in_a_sticky_folder_nobody_replaces_what_is_ours(key: Path) -> None:
    key.parent.chmod(0o1777)

    assert _problems(key) == []


def test_a_link_is_as_safe_as_what_it_points_to_and_as_where_it_stands(key: Path) -> None:
    link = key.parent.parent / "link"
    link.symlink_to(key)
    key.parent.chmod(0o777)

    assert str(key.parent) in _problems(link)[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_file_of_another_user_is_warned_of(key: Path) -> None:
    os.chown(key, 12345, -1)

    assert _problems(key) == [f"{key} belongs to another user, who may change it"]


def test_a_key_that_everybody_reads_is_told_by_config_check_alone(key: Path) -> None:
    assert list(files_that_all_read(_settings(key))) == []

    key.chmod(0o644)

    assert [each.problem for each in files_that_all_read(_settings(key))] == [
        f"every user of this machine can read {key}"
    ]


def test_kafkas_own_secrets_are_looked_at_too(key: Path, tmp_path: Path) -> None:
    key.chmod(0o666)
    settings = _settings(
        tmp_path / "gone",
        protocol="SASL_SSL",
        mechanism="PLAIN",
        username="u",
        password={"file": str(key)},
        certificate_file=str(key),
        key_file=str(key),
    )

    assert [each.key for each in files_that_others_write(settings)] == [
        "kafka.security.password",
        "kafka.security.key_file",
    ]


@pytest.mark.parametrize("name", ["~nobody-of-this-name/key", "a\0b", "gone"])
def test_what_is_no_file_is_left_to_whoever_reads_it(name: str) -> None:
    assert list(files_that_others_write(_settings(Path(name)))) == []
