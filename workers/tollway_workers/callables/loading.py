"""Finds the callables that a configuration names: code of the operator's own."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from tollway_workers.errors import ConfigError, ConfigMistake


def _as_it_is(found: Any) -> Any:
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of callable."""

    #: Of entry points.
    group: str
    #: Names of what it is called with.
    parameters: tuple[str, ...]
    #: What to do where one cannot be used.
    remedy: str
    #: Makes a callable of what is named, where that is none itself.
    adapt: Callable[[Any], Any] = _as_it_is


def load_callables(
    named: Mapping[str, str | None], setting: str, kind: Kind
) -> dict[str, Callable[..., Any]]:
    """The callables by route, of routes that name one: `module:function` or an entry point.

    `setting`: of a route, the one that names them. Raises ConfigError with every mistake.
    """
    loaded: dict[str, Callable[..., Any]] = {}
    mistakes: list[ConfigMistake] = []
    for route, reference in named.items():
        if reference is None:
            continue
        try:
            loaded[route] = _loaded(reference, kind)
        except _Unusable as error:
            key = f"routes.{route}.{setting}"
            mistakes.append(ConfigMistake(key=key, problem=str(error), remedy=kind.remedy))
    if mistakes:
        raise ConfigError.of(*mistakes)
    return loaded


def is_coroutine(called: Callable[..., Any]) -> bool:
    """Whether it is a coroutine function, or an object that is called as one."""
    own = getattr(called, "__call__", None)  # noqa: B004 an object's own method
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(own)


class _Unusable(Exception):
    """What is named cannot be called so; the text is one clause."""


def _loaded(reference: str, kind: Kind) -> Callable[..., Any]:
    try:
        found = kind.adapt(_found(reference, kind.group))
    except _Unusable:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 an import runs all that the module holds
        raise _Unusable(f"{reference!r} cannot be imported ({_said(error)})") from None
    if isinstance(found, type):
        raise _Unusable(f"{reference!r} is a class, not a function")
    if not callable(found):
        raise _Unusable(f"{reference!r} is {type(found).__name__} and cannot be called")
    _check_parameters(found, reference, kind.parameters)
    return found  # type: ignore[no-any-return]  # callable with these arguments: all that is asked


def _found(reference: str, group: str) -> Any:
    module, separator, path = reference.partition(":")
    if separator:
        found: Any = import_module(module)
        for name in path.split("."):
            if not hasattr(found, name):
                raise _Unusable(f"{module!r} has no {path!r}")
            found = getattr(found, name)
        return found
    named = list(entry_points(group=group, name=reference))
    if not named:
        raise _Unusable(f"there is no entry point {reference!r} in the group {group!r}")
    return named[0].load()


def _check_parameters(found: Any, reference: str, parameters: tuple[str, ...]) -> None:
    try:
        inspect.signature(found).bind(*parameters)
    except TypeError:
        many = f"{_NUMBERS[len(parameters)]} argument{'s' if len(parameters) > 1 else ''}"
        listed = ", ".join(parameters)
        raise _Unusable(f"{reference!r} does not take the {many} ({listed})") from None
    except ValueError:
        # A callable in C that does not say what it takes.
        return


_NUMBERS = ("no", "one", "two", "three")


def _said(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"no module {error.name!r}"
    return type(error).__name__
