"""What members and their leader tell each other, and what a member does once it has joined."""

import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.kafka.group.assignor import ShardAssignor
from tollway_workers.ownership import user_data as membership
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import (
    Claim,
    Next,
    Orders,
    Process,
    after_join,
    fingerprint_of,
    outgrown,
    read_claim,
    read_orders,
    write_claim,
    write_orders,
)

_GROUP = ShardGroup(name="a", shards=2, ownership_topic="a", topics=("a", "jobs"), generation=7)
_OURS = Process(start=200, nonce=2)
_OLDER, _NEWER = Process(start=100, nonce=3), Process(start=300, nonce=1)
_CLAIM = Claim(process=_OURS, layout=(_GROUP,), fingerprint=5)
_ORDERS = Orders(partitions={"a": 4}, process=_OURS, fingerprint=5)

_processes = st.builds(Process, start=st.integers(0, 2**45), nonce=st.integers(0, 2**32))
_places = st.frozensets(st.tuples(st.text(max_size=20), st.integers(0, 1_000)), max_size=20)
_groups = st.builds(
    ShardGroup,
    name=st.text(max_size=10),
    shards=st.integers(1, 64),
    ownership_topic=st.text(max_size=10),
    topics=st.lists(st.text(max_size=10), max_size=4).map(tuple),
    generation=st.integers(0, 2**32),
)


@given(
    st.builds(
        Claim,
        process=_processes,
        epoch=st.integers(-1, 2**31),
        owned=_places,
        released=_places,
        leaving=st.booleans(),
        standby=st.booleans(),
        joins=st.integers(0, 10**6),
        layout=st.lists(_groups, max_size=4).map(tuple),
        fingerprint=st.integers(0, 2**32),
    )
)
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert read_claim(write_claim(claim)) == claim


@given(
    st.builds(
        Orders,
        marks=_places,
        layout=st.lists(_groups, max_size=4).map(tuple),
        partitions=st.dictionaries(st.text(max_size=10), st.integers(0, 100), max_size=5),
        process=st.none() | _processes,
        fingerprint=st.integers(0, 2**32),
        leaving=st.booleans(),
        standby=st.booleans(),
    )
)
def test_orders_are_read_as_they_were_written(orders: Orders) -> None:
    assert read_orders(write_orders(orders)) == orders


@given(st.none() | st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"\x01" + b))
def test_whatever_cannot_be_read_claims_nothing(data: bytes | None) -> None:
    assert read_claim(data) is None
    assert read_orders(data) is None


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"{}",
        write_claim(_CLAIM)[1:],
        b'{"process": {"start": 1, "nonce": 1}, "layout": [{"name": "a", "shards": 0, '
        b'"ownership_topic": "a", "topics": [], "generation": 1}]}',
    ],
)
def test_a_claim_that_says_the_impossible_claims_nothing(said: bytes) -> None:
    assert read_claim(b"\x01" + zlib.compress(said)) is None


def test_a_claim_that_inflates_without_end_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_MOST_BYTES", 1_000)
    blanks = b" " * 2_000 + zlib.decompress(write_claim(_CLAIM)[1:])

    assert read_claim(b"\x01" + zlib.compress(blanks)) is None


def test_a_claim_of_another_version_claims_nothing() -> None:
    assert read_claim(b"\x02" + write_claim(_CLAIM)[1:]) is None


@pytest.mark.parametrize(
    ("orders", "first", "then"),
    [
        ({}, True, Next.WORK),
        ({}, False, Next.WORK),
        # Our predecessor's, which a static member is given after a restart.
        ({"process": _OLDER}, True, Next.WORK),
        ({"process": _OLDER, "fingerprint": 6}, True, Next.REJOIN),
        ({"process": _OLDER, "leaving": True}, True, Next.REJOIN),
        ({"process": _OLDER, "standby": True}, True, Next.REJOIN),
        # Somebody has our name, and is older: it has to find that out.
        ({"process": _OLDER}, False, Next.REJOIN),
        ({"process": _NEWER}, False, Next.END),
        # A predecessor on a host whose clock is ahead, or a newer process: the next orders tell.
        ({"process": _NEWER}, True, Next.REJOIN),
        ({"fingerprint": 6}, False, Next.REJOIN),
        # A leader that cannot read us would not, however often we asked.
        ({"process": None, "fingerprint": 0}, False, Next.WORK),
    ],
)
def test_what_a_member_does_once_it_has_joined(
    orders: dict[str, Any], first: bool, then: Next
) -> None:
    told = Orders(**{**_fields(_ORDERS), **orders})

    assert after_join(_CLAIM, told, first=first) is then


def _fields(orders: Orders) -> dict[str, Any]:
    return {name: getattr(orders, name) for name in Orders.__slots__}


def test_more_partitions_than_the_leader_knew_are_a_reason_to_ask_fewer_are_not() -> None:
    assert outgrown(_ORDERS, {"a": 5})
    assert not outgrown(_ORDERS, {"a": 4})
    # What a client has not heard of yet, or is not ours.
    assert not outgrown(_ORDERS, {"a": 0, "other": 9})


def test_equal_configurations_have_equal_fingerprints_whatever_the_order() -> None:
    other = ShardGroup(name="b", shards=1, ownership_topic="b", topics=("b",), generation=1)

    assert fingerprint_of([_GROUP, other], ["a", "b"]) == fingerprint_of(
        [other, _GROUP], ["b", "a"]
    )
    assert fingerprint_of([_GROUP], ["a"]) != fingerprint_of([_GROUP], ["a", "b"])


def assignor(process: Process = _OURS) -> ShardAssignor:
    return ShardAssignor(process, (_GROUP,), ("a", "jobs"))


def cluster(**partitions: int) -> Any:
    return SimpleNamespace(partitions_for_topic=lambda topic: set(range(partitions.get(topic, 0))))


def test_the_leader_gives_members_it_cannot_read_a_part_too() -> None:
    leader = assignor()
    members = {
        "leader": leader.metadata(["a", "jobs"]),
        "junk": ConsumerProtocolMemberMetadata(0, ["a", "jobs"], b"\xff\x00junk"),
        "none": ConsumerProtocolMemberMetadata(0, ["a"], None),
    }

    told = leader.assign(cluster(a=4, jobs=4), members)

    places = [(at.topic, at.partition) for each in told.values() for at in each.partitions()]
    assert sorted(places) == [(topic, q) for topic in ("a", "jobs") for q in range(4)]
    junk = read_orders(told["junk"].user_data)
    assert junk is not None
    assert junk.process is None


def test_orders_echo_the_claim_they_answer() -> None:
    leader = assignor()
    told = leader.assign(cluster(a=4, jobs=4), {"one": leader.metadata(["a", "jobs"])})

    leader.on_assignment(told["one"])

    claim, orders = leader.claim, leader.orders
    assert (orders.process, orders.fingerprint) == (claim.process, claim.fingerprint)
    assert orders.partitions == {"a": 4, "jobs": 4}
    assert len(claim.owned) == 8


def test_two_claims_of_one_member_differ_so_that_kafka_takes_the_second_for_news() -> None:
    member = assignor()

    assert member.metadata(["a"]).user_data != member.metadata(["a"]).user_data


def test_a_topic_that_is_not_there_yet_takes_nothing_from_anybody() -> None:
    leader = assignor()

    told = leader.assign(cluster(a=4), {"one": leader.metadata(["a", "jobs"])})

    assert {at.topic for at in told["one"].partitions()} == {"a"}
