"""What is wrong with a value, one sentence a fault, from pydantic's list of errors. Pure.

pydantic tells each branch of a union that failed, and a list with a wrong entry as too short as
well: here they are one fault, in words that name the field and quote no value.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from tollway_schemas.places import Fork, Part, Path, Place, Places, written
from tollway_schemas.problems import expected, given, problem

#: What is wrong with a field that is not there.
MISSING = "is missing"
#: How many faults one sentence lists, and how many of pydantic's errors are looked at: an object
#: may have one for each of 80,000 fields.
_MOST = 10
_MOST_LOOKED_AT = 200
#: More than so many further ones are many: not all are looked at.
_MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where; an empty path is the value itself."""

    path: Path
    problem: str

    def said(self, whole: str) -> str:
        """It as a sentence, where `whole` is what the value itself is called."""
        return f"{written(self.path) or whole}: {self.problem}"

    def under(self, *where: Part) -> "Fault":
        """The same in a value that has this one at `where`."""
        return replace(self, path=(*where, *self.path))


@dataclass(frozen=True, slots=True)
class _Located:
    place: Place
    detail: Mapping[str, Any]

    @property
    def path(self) -> Path:
        return self.place.path


def faults(error: ValidationError, schema: Mapping[str, Any]) -> tuple[Fault, ...]:
    """One fault for each thing that is wrong, in the order of the value, of the first 200 errors.

    `schema` is pydantic-core's of the type that was validated: `__pydantic_core_schema__`.
    """
    places = Places(schema)
    details = error.errors(include_url=False)[:_MOST_LOOKED_AT]
    located = [_Located(places.of(detail["loc"]), detail) for detail in details]
    located = _without_lists_cut_short(located)
    for fork in _forks(located):
        located = _one_branch(located, fork)
    by_path: dict[Path, list[_Located]] = {}
    for each in located:
        by_path.setdefault(each.path, []).append(each)
    return tuple(Fault(path, _said(group)) for path, group in by_path.items())


def sentence(found: Iterable[Fault], whole: str = "the record") -> str:
    """All of them as one text, the first ten one by one."""
    texts = [fault.said(whole) for fault in found]
    left = len(texts) - _MOST
    count = "many" if left > _MOST_COUNTED else left
    return "; ".join(texts[:_MOST] + ([f"and {count} more"] if left > 0 else []))


def nulls(error: ValidationError, schema: Mapping[str, Any]) -> set[Path]:
    """The places of nulls where the value could as well say nothing."""
    places = Places(schema)
    found = (
        places.of(detail["loc"])
        for detail in error.errors(include_url=False)
        if detail["input"] is None
    )
    return {place.path for place in found if place.optional}


def _without_lists_cut_short(located: list[_Located]) -> list[_Located]:
    """A wrong entry does not count, so that its list is too short as well: once is enough."""
    lists = {
        each.path[:depth]
        for each in located
        for depth, part in enumerate(each.path)
        if isinstance(part, int)
    }
    return [e for e in located if e.detail["type"] != "too_short" or e.path not in lists]


def _forks(located: list[_Located]) -> list[Path]:
    """Where types left a choice, the outer ones first."""
    return sorted({fork.at for each in located for fork in each.place.forks}, key=len)


def _one_branch(located: list[_Located], at: Path) -> list[_Located]:
    """Without the choices that were not meant: that in which validation came furthest was."""
    branches: dict[str, list[_Located]] = {}
    for each in located:
        if (fork := _fork_at(each, at)) is not None:
            branches.setdefault(fork.branch, []).append(each)
    if not branches:
        return located
    reach = {name: max(len(each.path) for each in found) for name, found in branches.items()}
    furthest = max(reach.values())
    if furthest == len(at):
        return located
    meant = min(
        (name for name in branches if reach[name] == furthest), key=lambda n: len(branches[n])
    )
    return [e for e in located if (fork := _fork_at(e, at)) is None or fork.branch == meant]


def _fork_at(each: _Located, at: Path) -> Fork | None:
    return next((fork for fork in each.place.forks if fork.at == at), None)


def _said(group: list[_Located]) -> str:
    """What is wrong at one place, where each of the errors is one that would have to be mended."""
    detail = group[0].detail
    if detail["type"] == "extra_forbidden":
        return _unknown(group[0].place)
    if all(each.detail["input"] is None for each in group) and _is_field(group[0].path):
        return MISSING
    wanted = [expected(each.detail) for each in group]
    # A value of the right kind that breaks a rule: the other kinds were not meant.
    rules = [each.detail for each, kind in zip(group, wanted, strict=True) if kind is None]
    if rules:
        return problem(rules[0])
    kinds = list(dict.fromkeys(kind for kind in wanted if kind is not None))
    comma = "," if any(" or " in kind for kind in kinds) else ""
    return f"must be {f'{comma} or '.join(kinds)}{given(detail)}"


def _is_field(path: Path) -> bool:
    return bool(path) and isinstance(path[-1], str)


def _unknown(place: Place) -> str:
    """An unknown field, with what its class says of where such a thing belongs."""
    name, parent = str(place.path[-1]), written(place.path[:-1])
    at = f"{parent}." if parent else ""
    owner: Any = place.owner
    elsewhere: Mapping[str, str] = getattr(owner, "elsewhere", {})
    if name in elsewhere:
        return f"unknown field; {elsewhere[name].format(at=at)}"
    known = difflib.get_close_matches(name[:100].lower(), _fields_of(owner), n=1, cutoff=0.75)
    if known:
        return f"unknown field; did you mean {at}{known[0]}?"
    hint = getattr(owner, "other_fields", "").format(at=at)
    return f"unknown field; {hint}" if hint else "unknown field"


def _fields_of(owner: Any) -> list[str]:
    return list(getattr(owner, "model_fields", ()))
