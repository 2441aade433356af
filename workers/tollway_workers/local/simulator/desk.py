"""Where a call is decided: refused, or answered with what, how fast and with which fault."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace

from tollway_workers.local.simulator.account import Account
from tollway_workers.local.simulator.answers import AnswerBook, say
from tollway_workers.local.simulator.ask import Ask, BadRequest, Body, format_of, read_ask
from tollway_workers.local.simulator.books import Books, Call
from tollway_workers.local.simulator.faults import CallCount, Fault, FaultKind, FaultScript
from tollway_workers.local.simulator.identity import identify, own_name
from tollway_workers.local.simulator.latency import AT_ONCE, Pace, draw_pace
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.refusals import UNAUTHORIZED, scripted_error, unknown_model
from tollway_workers.local.simulator.tokens import TOKEN_RULES
from tollway_workers.local.simulator.wire import ApiError, Completion, Refused

#: Such a call gets neither an answer nor an error.
_WITHOUT_AN_ANSWER = frozenset({FaultKind.RESET, FaultKind.REFUSED, FaultKind.NO_COMPLETION})
#: What is known of a source that does not say who it is.
DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A call as it came in."""

    source: str
    body: Body
    authorization: str | None
    client_request_id: str | None
    job_header: str | None
    #: Unix seconds, and monotonic seconds.
    started: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is to be sent, and the call in the books that it is for.

    An error, or a completion, or neither: a connection that is reset, an answer that is none.
    """

    call: Call
    headers: dict[str, str]
    error: ApiError | None = None
    completion: Completion | None = None
    #: The scripted fault the call meets; some befall the reply on its way.
    fault: FaultKind | None = None
    pace: Pace = AT_ONCE
    #: Of one that drips.
    bytes_per_second: float = 1.0
    #: Seconds for which connections are refused from now on: the server has fallen over.
    refuse_seconds: float = 0.0


class Desk:
    """Receives calls and sees them off. Mutable state: the accounts and the books."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._answers = AnswerBook(
            options.answers, seed=options.seed, answers_per_schema=options.answers_per_schema
        )
        self._script = FaultScript(options.faults, seed=options.seed)
        self._tokens = TOKEN_RULES[options.token_rule]
        self._accounts: dict[str, Account] = {}
        self.books = Books(options.calls_file)

    async def prepare(self, arrival: Arrival) -> None:
        """Make what takes a while to make for such a call; `receive` decides it in no time then."""
        identity = identify(arrival.client_request_id, arrival.job_header, arrival.body.raw)
        with suppress(BadRequest):
            await self._answers.prepare(identity.job_id, *format_of(arrival.body.fields))

    def receive(self, arrival: Arrival) -> Reply:
        """Decide a call and enter it in the books; `see_off` must follow."""
        account, body = self._account(arrival.source), arrival.body
        identity = identify(arrival.client_request_id, arrival.job_header, body.raw)
        count = account.count(identity.job_id, body.model, _key(arrival), arrival.now)
        call = Call(
            id=self.books.next_id(),
            source=arrival.source,
            job_id=identity.job_id,
            generation=identity.generation,
            attempt=identity.attempt,
            number=count.of_job,
            model=body.model,
            stream=False,
            started=arrival.started,
            in_flight=account.in_flight,
            trip=account.trip(count),
        )
        reply = self._decide(arrival, account, call, self._fault(call, count), body)
        self.books.begin(call)
        return reply

    def see_off(self, call: Call, ending: str, now: float) -> None:
        """Enter how a call ended, at `now` (unix seconds)."""
        self._account(call.source).ended(call.model)
        self.books.end(call, ending, now)

    def clear(self, source: str | None = None) -> int:
        """Forget calls, counts, limits and spending of a source (of all): a fresh start.

        Calls in flight go on and stay out of the new books. Returns how many calls were forgotten.
        """
        for name, account in list(self._accounts.items()):
            if source in (None, name):
                self._accounts[name] = account.afresh(self._options)
        return self.books.clear(source)

    def change_limits(
        self, source: str | None, requests: float | None, tokens: float | None, now: float
    ) -> None:
        """Other requests and tokens a window for a source (for all there are), from now on."""
        for name in [source] if source is not None else list(self._accounts):
            self._account(name).change(requests, tokens, now)

    def _account(self, source: str) -> Account:
        if source not in self._accounts:
            self._accounts[source] = Account(self._options, source)
        return self._accounts[source]

    def _fault(self, call: Call, count: CallCount) -> Fault | None:
        overload = self._options.overload
        if overload is not None and call.trip is not None:
            return overload.fault
        return self._script.choose(count)

    def _decide(
        self, arrival: Arrival, account: Account, call: Call, fault: Fault | None, body: Body
    ) -> Reply:
        try:
            self._check_key(arrival, fault)
            ask, text = self._read(body, account, call, arrival.now)
            account.admit(ask.model, ask.charge, arrival.now)
            call.charged_tokens = ask.charge
            _check_script(fault)
        except Refused as refused:
            shown = self._headers(account, call.model, arrival.now)
            error = refused.error if self._options.rate_headers else _without_hints(refused.error)
            return _refuse(error, fault if refused.scripted else None, call, shown)
        headers = self._headers(account, ask.model, arrival.now)
        call.fault = fault.kind.value if fault else None
        if fault and fault.kind in _WITHOUT_AN_ANSWER:
            return Reply(
                call=call, headers=headers, fault=fault.kind, refuse_seconds=self._refuses(fault)
            )
        completion = self._complete(ask, text, call, fault)
        account.bill(call.cost_pico_usd)
        return Reply(
            call=call,
            headers=headers,
            completion=completion,
            fault=fault.kind if fault else None,
            pace=self._pace(call, fault),
            bytes_per_second=fault.bytes_per_second if fault else 1.0,
        )

    def _headers(self, account: Account, model: str, now: float) -> dict[str, str]:
        return account.limits(model).headers(now) if self._options.rate_headers else {}

    def _refuses(self, fault: Fault) -> float:
        overload = self._options.overload
        is_refused = overload is not None and fault.kind is FaultKind.REFUSED
        return overload.outage_seconds if overload is not None and is_refused else 0.0

    def _check_key(self, arrival: Arrival, fault: Fault | None) -> None:
        if fault and fault.kind is FaultKind.UNAUTHORIZED:
            raise Refused(UNAUTHORIZED, scripted=True)
        key = self._options.required_key
        if key is not None and _key(arrival) != key.get_secret_value():
            raise Refused(UNAUTHORIZED)

    def _read(self, body: Body, account: Account, call: Call, now: float) -> tuple[Ask, str]:
        """What the call asks, and what the model says to it. Raises Refused."""
        try:
            ask = read_ask(body.fields, self._tokens)
            if self._options.models and ask.model not in self._options.models:
                raise Refused(unknown_model(ask.model))
            call.stream, call.prompt_tokens = ask.stream, ask.prompt_tokens
            return ask, self._answers.text(call.job_id, ask)
        except Refused:
            # A bad request counts as a request, and is refused as one too many first.
            account.admit(call.model, 0, now)
            raise

    def _complete(self, ask: Ask, text: str, call: Call, fault: Fault | None) -> Completion:
        """The answer in its envelope, entered in the books as billed: from here on it costs."""
        answer = say(text, ask, fault.kind if fault else None)
        call.completion_tokens = answer.completion_tokens
        call.cost_pico_usd = self._options.cost_pico_usd(
            ask.prompt_tokens, answer.completion_tokens
        )
        call.billed = True
        identity = f"{self._options.seed}\0{call.source}\0{call.job_id}\0{call.number}"
        return Completion(
            id=f"chatcmpl-{hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()}",
            created=int(call.started),
            model=ask.model,
            answer=answer,
            prompt_tokens=ask.prompt_tokens,
            include_usage=ask.include_usage,
        )

    def _pace(self, call: Call, fault: Fault | None) -> Pace:
        options = self._options
        identity = (options.seed, own_name(call.job_id), call.number)
        pace = draw_pace(options.latency, options.latency_scale, *identity)
        if fault and fault.kind is FaultKind.SLOW:
            return pace.slowed(fault.factor, fault.seconds)
        return pace


def _key(arrival: Arrival) -> str | None:
    """The API key that a call bears."""
    kind, _, key = (arrival.authorization or "").partition(" ")
    return key if kind == "Bearer" else None


def _check_script(fault: Fault | None) -> None:
    error = scripted_error(fault) if fault else None
    if error:
        raise Refused(error, scripted=True)


def _without_hints(error: ApiError) -> ApiError:
    """A rate limit's refusal that says nothing of when to come again."""
    if error.status != 429 or error.retry_after_seconds is None:
        return error
    return replace(error, retry_after_seconds=None, message="Rate limit reached.")


def _refuse(error: ApiError, met: Fault | None, call: Call, shown: dict[str, str]) -> Reply:
    """`met`: the fault that is the reason; one of another reason has not met its fault."""
    call.fault = met.kind.value if met else None
    call.error_code = error.code
    # Whose key is unknown has no limits to be shown.
    return Reply(call=call, headers={} if error.status == 401 else shown, error=error)
