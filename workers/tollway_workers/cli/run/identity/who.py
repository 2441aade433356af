"""The models that answer a run: what two commands must share to share jobs, answers and OUT."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tollway_workers.config.shape.fleet import FleetSettings

#: What the answers of a simulator are called.
SIMULATED_ANSWERS = "SIMULATED answers"


class Model(BaseModel):
    """One model that may answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """The API's address, without its last slash; it holds no password (`config check`)."""
    model: str
    """In the provider's word."""
    key: str | None = None
    """Where its key is: the reference, never the key."""

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url}"


class Who(BaseModel):
    """The models of a route, first choice first, or the simulator in their place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Model, ...]
    """With a simulator their addresses and keys are empty: nobody calls them."""
    script: str | None = None
    """A digest of what the simulator was told to answer; absent: real models answer."""

    def __str__(self) -> str:
        """What such answers are called."""
        if self.script is not None:
            return SIMULATED_ANSWERS
        return f"answers of {', '.join(map(str, self.models))}"

    @property
    def digest_input(self) -> str:
        """Equal for those who may share jobs."""
        return self.model_dump_json()


def who_answers(settings: FleetSettings, lanes: Iterable[str], script: str | None) -> Who:
    """Who answers on these lanes; `script` is the simulator's, None without one."""
    models = []
    for lane in (settings.lanes[name] for name in lanes):
        provider = settings.providers[lane.provider]
        if script is not None:
            models.append(Model(base_url="", model=lane.model))
            continue
        key = None if provider.api_key is None else str(provider.api_key)
        url = provider.base_url.rstrip("/")
        models.append(Model(base_url=url, model=lane.model, key=key))
    return Who(models=tuple(models), script=script)


def script_of(files: Iterable[Path | None]) -> str:
    """What a simulator is told, as a digest of its files' content."""
    told = (
        sha256(file.read_bytes()).hexdigest() if file is not None and file.is_file() else str(file)
        for file in files
    )
    return sha256("|".join(told).encode()).hexdigest()[:16]


def other_who(before: Mapping[str, Who], now: Mapping[str, Who]) -> str | None:
    """What OUT holds and who would answer now, as a clause; None if they are the same.

    Both by route; those of `before` were used. Empty: a fleet that others run answers.
    """
    if not before or not now:
        return None if not before and not now else _clause(_of_any(before), _of_any(now))
    for route, held in before.items():
        new = now.get(route)
        if new is None:
            return _clause(f"{held} to route {route!r}", _of_any(now))
        if new != held and str(new) == str(held):
            return _clause(f"{held}{_difference(held)}", f"{new}{_difference(new)}")
        if new != held:
            return _clause(str(held), str(new))
    return None


def _clause(held: str, new: str) -> str:
    return f"it holds {held}, and now it would get {new}"


def _of_any(answering: Mapping[str, Who]) -> str:
    return next(map(str, answering.values()), "answers of a fleet that others run")


def _difference(who: Who) -> str:
    """What two have in different ways whose models are the same."""
    if who.script is not None:
        return f" by script {who.script[:6]} (--answers, --faults)"
    keys = (f"the key in {model.key}" if model.key else "no key" for model in who.models)
    return f" with {', '.join(keys)}"
