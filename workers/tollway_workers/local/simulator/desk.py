"""Where a call is decided: refused, or answered with what, how fast and with which fault."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tollway_schemas.usage import Usage
from tollway_workers.local.simulator.account import Account
from tollway_workers.local.simulator.answer import Answer, Completion
from tollway_workers.local.simulator.answers import AnswerBook, Draft
from tollway_workers.local.simulator.ask import Ask, Asked, Body
from tollway_workers.local.simulator.books import Books, Call
from tollway_workers.local.simulator.faults import CallCount, Fault, FaultKind, FaultScript
from tollway_workers.local.simulator.identity import CallIdentity, identify, own_name
from tollway_workers.local.simulator.latency import AT_ONCE, Pace, draw_pace
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.prompt_cache import CacheUse
from tollway_workers.local.simulator.rates import Charge
from tollway_workers.local.simulator.refusals import Refusal, Refused, Why, scripted_refusal
from tollway_workers.local.simulator.speech import say
from tollway_workers.local.simulator.tokens import TOKEN_RULES
from tollway_workers.local.simulator.wire.dialect import Dialect, SaidError
from tollway_workers.local.simulator.wire.routes import CHAT, Route

#: Such a call gets neither an answer nor an error.
_WITHOUT_AN_ANSWER = frozenset({FaultKind.RESET, FaultKind.REFUSED, FaultKind.NO_COMPLETION})
#: What is known of a source that does not say who it is.
DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A call as it came in."""

    source: str
    body: Body
    #: Names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    route: Route = CHAT
    #: Unix seconds, and monotonic seconds.
    started: float
    now: float

    @property
    def dialect(self) -> Dialect:
        return self.route.dialect

    @property
    def model(self) -> str:
        """The model that it names; empty where it names none."""
        return self.route.model or self.body.model

    @property
    def key(self) -> str | None:
        """The API key that it bears."""
        return self.dialect.key(self.headers, self.query)

    @property
    def identity(self) -> CallIdentity:
        headers = self.headers
        return identify(headers.get("x-client-request-id"), headers.get("x-job-id"), self.body.raw)

    @property
    def asked(self) -> Asked:
        """What its protocol reads. Raises BadRequest."""
        return Asked(
            fields=self.body.fields,
            headers=self.headers,
            model=self.route.model,
            stream=self.route.stream,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is to be sent, and the call in the books that it is for.

    An error, or a completion, or neither: a connection that is reset, an answer that is none.
    """

    call: Call
    headers: dict[str, str]
    dialect: Dialect
    error: SaidError | None = None
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
            options.answers,
            seed=options.seed,
            answers_per_schema=options.answers_per_schema,
            tool_share=options.tool_share,
        )
        self._script = FaultScript(options.faults, seed=options.seed)
        self._tokens = TOKEN_RULES[options.token_rule]
        self._accounts: dict[str, Account] = {}
        self.books = Books(options.calls_file)

    async def prepare(self, arrival: Arrival) -> None:
        """Make what takes a while to make for such a call; `receive` decides it in no time then."""
        with suppress(Refused):
            ask = self._ask(arrival)
            await self._answers.prepare(arrival.identity.job_id, ask)

    def receive(self, arrival: Arrival) -> Reply:
        """Decide a call and enter it in the books; `see_off` must follow."""
        account, model = self._account(arrival.source), arrival.model
        identity = arrival.identity
        count = account.count(identity.job_id, model, arrival.key, arrival.now)
        call = Call(
            id=self.books.next_id(),
            source=arrival.source,
            job_id=identity.job_id,
            generation=identity.generation,
            attempt=identity.attempt,
            number=count.of_job,
            protocol=arrival.dialect.name,
            model=model,
            stream=False,
            started=arrival.started,
            in_flight=account.in_flight,
            trip=account.trip(count),
        )
        reply = self._decide(arrival, account, call, self._fault(call, count))
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

    def _decide(self, arrival: Arrival, account: Account, call: Call, fault: Fault | None) -> Reply:
        try:
            self._check_key(arrival, fault)
            ask, draft = self._read(arrival, account, call)
            cache = self._admit(arrival, account, call, ask)
            _check_script(fault, ask)
        except Refused as refused:
            return self._refuse(refused, fault, arrival, account, call)
        headers = self._headers(arrival, account)
        call.fault = fault.kind.value if fault else None
        if fault and fault.kind in _WITHOUT_AN_ANSWER:
            return Reply(
                call=call,
                headers=headers,
                dialect=arrival.dialect,
                fault=fault.kind,
                refuse_seconds=self._refuses(fault),
            )
        answer = say(draft, ask, fault.kind if fault else None)
        usage = _usage(ask, answer, cache)
        self._bill(call, usage, account)
        account.limits(ask.model).spend(
            usage.output_total, arrival.dialect.charge(ask, cache), arrival.now
        )
        return Reply(
            call=call,
            headers=headers,
            dialect=arrival.dialect,
            completion=self._complete(arrival, call, answer, usage),
            fault=fault.kind if fault else None,
            pace=self._pace(call, fault),
            bytes_per_second=fault.bytes_per_second if fault else 1.0,
        )

    def _headers(self, arrival: Arrival, account: Account) -> dict[str, str]:
        if not self._options.rate_headers:
            return {}
        left = account.limits(arrival.model).left(arrival.now)
        return arrival.dialect.limits(left, arrival.started)

    def _refuses(self, fault: Fault) -> float:
        overload = self._options.overload
        is_refused = overload is not None and fault.kind is FaultKind.REFUSED
        return overload.outage_seconds if overload is not None and is_refused else 0.0

    def _check_key(self, arrival: Arrival, fault: Fault | None) -> None:
        if fault and fault.kind is FaultKind.UNAUTHORIZED:
            raise Refused(Refusal(why=Why.UNAUTHORIZED), scripted=True)
        key = self._options.required_key
        if key is not None and arrival.key != key.get_secret_value():
            raise Refused(Refusal(why=Why.UNAUTHORIZED))

    def _ask(self, arrival: Arrival) -> Ask:
        """What a call asks; read once. Raises BadRequest."""
        if (ask := arrival.body.ask) is None:
            ask = arrival.body.ask = arrival.dialect.read(arrival.asked, self._tokens)
        return ask

    def _read(self, arrival: Arrival, account: Account, call: Call) -> tuple[Ask, Draft]:
        """What the call asks, and what the model says to it. Raises Refused."""
        try:
            ask = self._ask(arrival)
            if self._options.models and ask.model not in self._options.models:
                raise Refused(Refusal(why=Why.UNKNOWN_MODEL, model=ask.model))
            call.stream, call.prompt_tokens = ask.stream, ask.prompt_tokens
            return ask, self._answers.draft(call.job_id, ask)
        except Refused:
            # A bad request counts as a request, and is refused as one too many first.
            account.admit(call.model, Charge(), arrival.now)
            raise

    def _admit(self, arrival: Arrival, account: Account, call: Call, ask: Ask) -> CacheUse:
        """Charge a call; what it reads of the provider's cache. Raises Refused."""
        cache = account.cache(ask.model)
        use, kept = cache.use(ask, arrival.now, unasked=arrival.dialect.caches_unasked)
        charge = arrival.dialect.charge(ask, use)
        account.admit(ask.model, charge, arrival.now)
        call.charged_tokens = charge.tokens
        cache.keep(kept, arrival.now)
        return use

    def _refuse(
        self,
        refused: Refused,
        fault: Fault | None,
        arrival: Arrival,
        account: Account,
        call: Call,
    ) -> Reply:
        """One that is refused for another reason has not met its fault."""
        refusal = refused.refusal
        if not self._options.rate_headers:
            refusal = replace(refusal, hints=False)
        error = arrival.dialect.refuse(refusal, request_id(call))
        call.fault = fault.kind.value if fault and refused.scripted else None
        call.error_code = error.code
        # Whose key is unknown has no limits to be shown.
        is_known = refusal.why is not Why.UNAUTHORIZED
        shown = self._headers(arrival, account) if is_known else {}
        return Reply(call=call, headers=shown, dialect=arrival.dialect, error=error)

    def _bill(self, call: Call, usage: Usage, account: Account) -> None:
        """Enter in the books what a call costs: from here on it is billed."""
        call.completion_tokens = usage.output_total
        call.cached_tokens = usage.input_cached_read
        call.written_5m_tokens = usage.input_cache_write_5m
        call.written_1h_tokens = usage.input_cache_write_1h
        call.reasoning_tokens = usage.reasoning
        call.cost_pico_usd = self._options.cost_pico_usd(call.model, usage)
        call.billed = True
        account.bill(call.cost_pico_usd)

    def _complete(self, arrival: Arrival, call: Call, answer: Answer, usage: Usage) -> Completion:
        """The answer with what its envelope is made of."""
        identity = f"{self._options.seed}\0{call.source}\0{call.job_id}\0{call.number}"
        return Completion(
            key=hashlib.blake2b(identity.encode(), digest_size=12).hexdigest(),
            created=int(call.started),
            model=call.model,
            answer=answer,
            usage=usage,
            fields=arrival.body.fields,
        )

    def _pace(self, call: Call, fault: Fault | None) -> Pace:
        options = self._options
        identity = (options.seed, own_name(call.job_id), call.number)
        pace = draw_pace(options.latency, options.latency_scale, *identity)
        if fault and fault.kind is FaultKind.SLOW:
            return pace.slowed(fault.factor, fault.seconds)
        return pace


def request_id(call: Call) -> str:
    """The provider's own name for a call."""
    return f"req_{call.id:012d}"


def _check_script(fault: Fault | None, ask: Ask) -> None:
    refusal = scripted_refusal(fault, ask.model) if fault else None
    if fault and fault.kind is FaultKind.STREAM_ERROR and not ask.stream:
        refusal = Refusal(why=Why.OVERLOADED)
    if refusal:
        raise Refused(refusal, scripted=True)


def _usage(ask: Ask, answer: Answer, cache: CacheUse) -> Usage:
    return Usage(
        input_total=ask.prompt_tokens,
        input_cached_read=cache.read,
        input_cache_write_5m=cache.written_5m,
        input_cache_write_1h=cache.written_1h,
        output_total=answer.completion_tokens,
        reasoning=answer.reasoning_tokens,
    )
