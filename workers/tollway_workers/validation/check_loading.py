"""Finds the checks that routes name."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from tollway_schemas.faults import faults
from tollway_schemas.job import Job
from tollway_workers.callables.loading import Kind, load_callables
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.validation.checks import RouteCheck


def load_checks(routes: Mapping[str, RouteSettings]) -> dict[str, RouteCheck]:
    """The checks of the routes that have one. Raises ConfigError with every mistake."""
    loaded = load_callables({name: each.check for name, each in routes.items()}, "check", _CHECKS)
    return {name: RouteCheck(each, routes[name].check_timeout) for name, each in loaded.items()}


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


def _check_of(found: Any) -> Any:
    is_model = isinstance(found, type) and issubclass(found, BaseModel)
    return _ModelCheck(found) if is_model else found


_CHECKS = Kind(
    group="tollway.checks",
    parameters=("answer", "job"),
    remedy="name a callable (answer, job) of an installed module, as in shop.checks:totals",
    adapt=_check_of,
)
