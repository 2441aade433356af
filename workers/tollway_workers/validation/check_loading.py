"""Finds the callables that routes name."""

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from tollway_schemas.faults import faults
from tollway_schemas.job import Job
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.validation.checks import Check, RouteCheck

_GROUP = "tollway.checks"
_REMEDY = "name a callable (answer, job) of an installed module, as in shop.checks:totals"


def load_checks(routes: Mapping[str, RouteSettings]) -> dict[str, RouteCheck]:
    """The checks of the routes that have one. Raises ConfigError with every mistake."""
    loaded: dict[str, RouteCheck] = {}
    mistakes: list[ConfigMistake] = []
    for name, route in routes.items():
        if route.check is None:
            continue
        try:
            loaded[name] = RouteCheck(_loaded(route.check), route.check_timeout)
        except _Unusable as error:
            key = f"routes.{name}.check"
            mistakes.append(ConfigMistake(key=key, problem=str(error), remedy=_REMEDY))
    if mistakes:
        raise ConfigError.of(*mistakes)
    return loaded


class _Unusable(Exception):
    """What a route names is no check; the text is one clause."""


def _loaded(reference: str) -> Check:
    try:
        found = _found(reference)
    except _Unusable:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 an import runs all that the module holds
        raise _Unusable(f"{reference!r} cannot be imported ({_said(error)})") from None
    if isinstance(found, type) and issubclass(found, BaseModel):
        return _ModelCheck(found)
    if not callable(found):
        raise _Unusable(f"{reference!r} is {type(found).__name__} and cannot be called")
    _check_takes_two(found, reference)
    return found  # type: ignore[no-any-return]  # callable with two arguments: all that is asked


def _found(reference: str) -> Any:
    module, separator, path = reference.partition(":")
    if separator:
        found: Any = import_module(module)
        for name in path.split("."):
            if not hasattr(found, name):
                raise _Unusable(f"{module!r} has no {path!r}")
            found = getattr(found, name)
        return found
    named = list(entry_points(group=_GROUP, name=reference))
    if not named:
        raise _Unusable(f"there is no entry point {reference!r} in the group {_GROUP!r}")
    return named[0].load()


def _check_takes_two(found: Any, reference: str) -> None:
    try:
        inspect.signature(found).bind(None, None)
    except TypeError:
        raise _Unusable(f"{reference!r} does not take the two arguments (answer, job)") from None
    except ValueError:
        # A callable in C that does not say what it takes.
        return


def _said(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"no module {error.name!r}"
    return type(error).__name__


class _ModelCheck:
    """A pydantic model as a check: its own validators have the last word."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __call__(self, answer: Any, job: Job) -> Iterator[str] | None:
        try:
            # As JSON, so that a strict model takes a date from a string.
            self._model.model_validate_json(to_json(answer))
        except ValidationError as error:
            found = faults(error, self._model.__pydantic_core_schema__)
            return iter([f"/{'/'.join(map(str, each.path))}: {each.problem}" for each in found])
        return None
