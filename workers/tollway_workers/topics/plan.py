"""Plans the changes that give a fleet its topics. Pure: the existing topics are an argument.

A plan deletes nothing but topics of finished runs; where a configuration would need more deleted,
it says why that cannot be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollway_workers.errors import ConfigMistake
from tollway_workers.topics.specs import TopicSpec

_LARGEST = "max.message.bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as it is."""

    partitions: int
    #: Of the partition that has the fewest.
    replicas: int
    #: Settings in effect, the broker's defaults among them; None where we may not look.
    config: Mapping[str, str] | None
    #: Settings that somebody gave to this topic itself.
    overrides: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicChange:
    """A topic whose configuration has to change."""

    topic: str
    #: Setting to what it is (None: unset) and what it becomes.
    settings: Mapping[str, tuple[str | None, str]]
    #: All that is to be sent: Kafka drops the settings of a topic that an alteration leaves out.
    complete: Mapping[str, str]
    #: Settings that somebody gave to this topic, before.
    overrides: Mapping[str, str]

    def grows(self, setting: str) -> bool:
        """Whether a setting that is a number becomes a greater one."""
        before, after = self.settings.get(setting, (None, "0"))
        return int(before or 0) < int(after)

    def only(self, setting: str) -> "TopicChange":
        """The change of this setting alone."""
        return TopicChange(
            topic=self.topic,
            settings={setting: self.settings[setting]},
            complete={**self.overrides, setting: self.complete[setting]},
            overrides=self.overrides,
        )


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What has to change, and what is not as it should be but is not ours to change."""

    create: tuple[TopicSpec, ...] = ()
    #: Topic to new count of partitions, in the order in which they may grow.
    grow: Mapping[str, int] = field(default_factory=dict)
    #: One sentence each.
    remarks: tuple[str, ...] = ()
    alter: tuple[TopicChange, ...] = ()
    #: What cannot be as configured. Nothing is to be done before that is mended.
    refusals: tuple[ConfigMistake, ...] = ()
    #: Topics that a run made for itself and nobody needs any more.
    delete: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing has to change."""
        return not (self.create or self.grow or self.alter or self.delete)

    def additions(self, *, larger: bool = False) -> "TopicPlan":
        """The part of it that touches no setting of a topic that is there.

        `larger`: but for the largest record that a topic takes, where that has to grow.
        """
        alter = tuple(change.only(_LARGEST) for change in self.alter if change.grows(_LARGEST))
        return TopicPlan(self.create, self.grow, self.remarks, alter if larger else ())


def plan_topics(wanted: tuple[TopicSpec, ...], existing: Mapping[str, TopicState]) -> TopicPlan:
    """What to do about the topics that are wanted, given those that exist."""
    present = [(spec, existing[spec.name]) for spec in wanted if spec.name in existing]
    changes = [_change(spec, state) for spec, state in present]
    return TopicPlan(
        create=tuple(spec for spec in wanted if spec.name not in existing),
        grow={
            spec.name: spec.partitions
            for spec, state in present
            if state.partitions < spec.partitions
        },
        remarks=tuple(remark for spec, state in present for remark in _remarks(spec, state)),
        alter=tuple(change for change in changes if change is not None),
        refusals=tuple(
            _no_shrinking(spec, state)
            for spec, state in present
            if spec.fixed and state.partitions > spec.partitions
        ),
    )


def _change(spec: TopicSpec, state: TopicState) -> TopicChange | None:
    if state.config is None:
        return None
    settings = {
        key: (state.config.get(key), value)
        for key, value in spec.config.items()
        if state.config.get(key) != value
    }
    if not settings:
        return None
    # What operators set besides stays as they set it.
    complete = {**state.overrides, **spec.config}
    return TopicChange(
        topic=spec.name, settings=settings, complete=complete, overrides=state.overrides
    )


def _remarks(spec: TopicSpec, state: TopicState) -> list[str]:
    remarks = []
    if state.partitions > spec.partitions and not spec.fixed:
        remarks.append(
            f"{spec.name} has {state.partitions} partitions, more than the {spec.partitions} "
            "configured, which does no harm"
        )
    if state.replicas < spec.replication_factor:
        remarks.append(
            f"{spec.name} has {state.replicas} of the {spec.replication_factor} replicas "
            "configured: its operators add copies with kafka-reassign-partitions.sh"
        )
    if state.config is None:
        remarks.append(
            f"{spec.name}: this user may not see its configuration (needs DescribeConfigs), so "
            "it was not compared"
        )
    return remarks


def _no_shrinking(spec: TopicSpec, state: TopicState) -> ConfigMistake:
    return ConfigMistake(
        key="kafka.partitions",
        problem=f"is {spec.partitions}, and {spec.name} has {state.partitions}: Kafka cannot take "
        "partitions away",
        remedy=f"set {state.partitions}",
    )
