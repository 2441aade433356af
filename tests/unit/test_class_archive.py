"""Archives with which Java starts sooner: made once, refused where damaged, never in the way."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tollway_workers.local.kafka.archive import ClassArchive


class Java:
    """A Java that writes what it is asked for, and says what it was asked."""

    def __init__(self, *, well: bool = True) -> None:
        self.well = well
        self.asked: list[Sequence[str]] = []

    def __call__(self, flags: Sequence[str]) -> bool:
        self.asked.append(flags)
        if self.well and "-Xshare:dump" in flags:
            Path(_value(flags, "SharedArchiveFile")).write_bytes(b"base")
        return self.well


def _value(flags: Sequence[str], name: str) -> str:
    return next(flag.partition("=")[2] for flag in flags if flag.startswith(f"-XX:{name}="))


def _archive(
    folder: Path, java: Java, node: str = "one", jars: str = "kafka-1.jar"
) -> ClassArchive:
    return ClassArchive(folder, (folder / jars,), folder / node, java)


@pytest.fixture
def java() -> Java:
    return Java()


def test_the_first_broker_writes_what_the_next_ones_start_with(tmp_path: Path, java: Java) -> None:
    first = _archive(tmp_path, java)
    flags = first.flags(may_write=True)
    Path(_value(flags, "ArchiveClassesAtExit")).write_bytes(b"kafka")
    first.keep()

    second = _archive(tmp_path, java, node="two").flags(may_write=True)

    assert Path(_value(second, "SharedArchiveFile")).read_bytes() == b"kafka"
    assert not any(flag.startswith("-XX:ArchiveClassesAtExit") for flag in second)
    # Java's own classes once, and one look at the draft.
    assert ["-Xshare:dump" in flags for flags in java.asked] == [True, False]
    assert not list(tmp_path.glob("*.draft"))


def test_half_an_archive_is_thrown_away(tmp_path: Path, java: Java) -> None:
    archive = _archive(tmp_path, java)
    draft = Path(_value(archive.flags(may_write=True), "ArchiveClassesAtExit"))
    draft.write_bytes(b"ha")
    java.well = False

    archive.keep()

    assert not draft.exists()
    assert not list(tmp_path.glob("kafka-*"))


def test_an_archive_is_checked_whenever_it_is_used(tmp_path: Path, java: Java) -> None:
    assert "-XX:+VerifySharedSpaces" in _archive(tmp_path, java).flags(may_write=True)


def test_where_java_makes_no_archive_the_broker_starts_without_one(tmp_path: Path) -> None:
    assert _archive(tmp_path, Java(well=False)).flags(may_write=True) == []


def test_other_jars_have_an_archive_of_their_own(tmp_path: Path, java: Java) -> None:
    flags = [_archive(tmp_path, java, jars=name).flags(may_write=True) for name in ("a", "b")]

    assert len({_value(each, "SharedArchiveFile") for each in flags}) == 2


def test_two_brokers_write_no_common_draft_and_those_of_a_cluster_write_none(
    tmp_path: Path, java: Java
) -> None:
    flags = [_archive(tmp_path, java, node=name).flags(may_write=True) for name in ("one", "two")]
    clustered = _archive(tmp_path, java).flags(may_write=False)

    assert len({_value(each, "ArchiveClassesAtExit") for each in flags}) == 2
    assert not any(flag.startswith("-XX:ArchiveClassesAtExit") for flag in clustered)
