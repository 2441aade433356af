"""The books: every call that arrived, what came of it, and what it cost."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from tollway_workers.errors import InputError

RUNNING = "running"
#: The ending of a call that was running when the simulator was killed.
LOST = "simulator_gone"
_LINE_START = b'{"id":'


@dataclass(slots=True, kw_only=True)
class Call:
    """One call. It is in the books from its arrival; `ended` and `ending` come when it ends.

    A call that began to generate is billed whole, also if the client left or the answer was cut.
    """

    id: int
    #: The client it is for, by path `/s/<source>/` or header `X-Source`.
    source: str
    job_id: str
    #: In the client's own count; none where it gave no such header.
    generation: int | None
    attempt: int | None
    #: In our count: the first call of the job is 1.
    number: int
    model: str
    stream: bool
    #: Unix seconds.
    started: float
    ended: float | None = None
    #: HTTP status; none where no answer was begun.
    status: int | None = None
    #: `running`, `ok`, an error's status, a fault's kind, `client_gone`, `stopped`...
    ending: str = RUNNING
    #: The scripted fault it met; a 429 without one is the rate limit's own.
    fault: str | None = None
    #: How often its source's server had fallen over, where the call met that.
    trip: int | None = None
    error_code: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    #: Of the prompt's: read from the cache, and written to it for five minutes and for an hour.
    cached_tokens: int = 0
    written_5m_tokens: int = 0
    written_1h_tokens: int = 0
    #: Of the answer's: thought and not said.
    reasoning_tokens: int = 0
    #: What it took of the tokens a window at its admission; nothing where it was not admitted.
    charged_tokens: int = 0
    cost_pico_usd: int = 0
    billed: bool = False
    #: Calls of the source that were running when it arrived, itself included.
    in_flight: int = 1
    #: What it spoke.
    protocol: str = "openai"

    def as_json(self) -> dict[str, Any]:
        """Its fields; the cost as a decimal string, because JSON readers lose digits."""
        return asdict(self) | {"cost_pico_usd": str(self.cost_pico_usd)}


class Books:
    """All calls in order of arrival. In memory, and in a file if one is given.

    The file gets a line when a call has been admitted or refused and a line when it has ended; the
    last line of an id counts. An existing file is continued: calls that a killed simulator left
    running are there as `simulator_gone`. Raises InputError if the file is something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._calls: dict[int, Call] = {}
        self._next_id = 1
        self._file = None
        if path is None:
            return
        try:
            self._calls = _read(path) if path.exists() else {}
            # Unbuffered: a line is with the system before the client has its answer.
            self._file = path.open("ab", buffering=0)
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds no calls"
            raise InputError(f"{path}: cannot be the file of calls: {reason}") from error
        self._next_id = max(self._calls, default=0) + 1

    def next_id(self) -> int:
        """A new call's id: ids rise and are never given twice."""
        self._next_id += 1
        return self._next_id - 1

    def begin(self, call: Call) -> None:
        """Enter a call with all that is known at its start."""
        self._calls[call.id] = call
        self._write(call)

    def end(self, call: Call, ending: str, now: float) -> None:
        """Say how a call ended. One that has been cleared meanwhile stays out."""
        call.ending = ending
        call.ended = now
        if call.id in self._calls:
            self._write(call)

    def calls(self, *, source: str | None = None, since: float | None = None) -> Iterator[Call]:
        """The calls of a source (of all), started at or after `since` (unix seconds)."""
        for call in self._calls.values():
            if (source is None or call.source == source) and (
                since is None or call.started >= since
            ):
                yield call

    def clear(self, source: str | None = None) -> int:
        """Forget the calls of a source (of all), in the file too; returns how many."""
        kept = {
            key: call
            for key, call in self._calls.items()
            if source is not None and call.source != source
        }
        forgotten = len(self._calls) - len(kept)
        self._calls = kept
        if self._file:
            self._file.truncate(0)
            for call in kept.values():
                self._write(call)
        return forgotten

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, call: Call) -> None:
        if self._file:
            self._file.write(orjson.dumps(call.as_json(), option=orjson.OPT_APPEND_NEWLINE))


def _read(path: Path) -> dict[int, Call]:
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    half_line = raw[whole:]
    if not half_line.startswith(_LINE_START[: len(half_line)]):
        raise ValueError
    calls = {}
    for line in raw[:whole].splitlines():
        fields = orjson.loads(line)
        call = Call(**fields | {"cost_pico_usd": int(fields["cost_pico_usd"])})
        calls[call.id] = call
    for call in calls.values():
        if call.ending == RUNNING:
            call.ending = LOST
    if half_line:
        # Its writer was killed. What it would have said was not told to any client.
        with path.open("rb+") as file:
            file.truncate(whole)
    return calls


def as_lines(calls: Iterable[Call]) -> bytes:
    """The calls as JSON lines."""
    return b"".join(
        orjson.dumps(call.as_json(), option=orjson.OPT_APPEND_NEWLINE) for call in calls
    )
