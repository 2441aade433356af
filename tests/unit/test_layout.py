"""One layout for workers whose configurations differ."""

from tollway_workers.ownership.layout import merged
from tollway_workers.ownership.sharding import ShardGroup


def test_the_newest_layout_that_names_a_topic_or_a_group_decides() -> None:
    new = [
        ShardGroup(name="a", shards=2, ownership_topic="a", topics=("a",), generation=2),
        ShardGroup(name="b", shards=4, ownership_topic="b", topics=("b", "jobs"), generation=2),
    ]
    old = [
        ShardGroup(name="a", shards=4, ownership_topic="a", topics=("a", "jobs"), generation=1),
        ShardGroup(name="gone", shards=3, ownership_topic="g", topics=("g", "x"), generation=1),
    ]

    layout = merged([new, old], {"a": 4, "b": 4, "jobs": 4, "x": 4, "other": 2})

    assert {each.name: (each.shards, each.ownership_topic, each.topics) for each in layout} == {
        "a": (2, "a", ("a",)),
        "b": (4, "b", ("b", "jobs")),
        "gone": (3, "x", ("x",)),
        "topic:other": (2, "other", ("other",)),
    }
