"""What every protocol keeps: a suite for pytest, driven by cases in files."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import orjson

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.providers.base import Completion
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.wire_format import WireFormat
from tollway_workers.testing.case import (
    Answer,
    Call,
    Fails,
    Kind,
    Means,
    ProtocolCase,
    Sends,
    load_cases,
)
from tollway_workers.testing.driver import KEY, Exchange, exchange, exchanges, lane_of
from tollway_workers.testing.odd_answers import ODD_ANSWERS

#: A protocol has at least a case of each of these.
NEEDED_KINDS: tuple[Kind, ...] = (
    "plain",
    "stream",
    "tools",
    "schema",
    "conversation",
    "refusal",
    "truncation",
)
#: And an error of each of these classes.
NEEDED_CLASSES = (
    FailureClass.RATE_LIMIT,
    FailureClass.QUOTA_EXHAUSTED,
    FailureClass.OVERLOADED,
    FailureClass.TRANSIENT,
    FailureClass.CONTEXT_LENGTH,
    FailureClass.INVALID_REQUEST,
    FailureClass.AUTH,
    FailureClass.MODEL_NOT_FOUND,
)
#: Pieces that a stream comes in: whole, in a few, and byte by byte.
_PIECES = (1, 2, 3, 7, 40, 1_000_000)
_LONGEST_MESSAGE = 1_000


#: Which cases a test is about, by the name of what it is given.
_ABOUT: dict[str, Callable[[ProtocolCase], bool]] = {
    "said": lambda case: case.sends is not None,
    "answered": lambda case: case.answer is not None,
    "streamed": lambda case: case.answer is not None and case.answer.events is not None,
    "good": lambda case: case.means is not None,
    "relearned": lambda case: case.then_sends is not None,
    "unsaid": lambda case: bool(case.unsupported),
}


class ProtocolContract:
    """Derive a class of tests from it, and name the protocol and the folder of its cases.

    A case is a JSON file (see `ProtocolCase`), written from the provider's documentation.
    """

    protocol: ClassVar[str]
    fixtures: ClassVar[Path]
    #: Kinds and classes that the provider does not have.
    without: ClassVar[frozenset[str]] = frozenset()

    @property
    def wire(self) -> WireFormat:
        """The protocol: built in, or an entry point in the group `tollway.protocols`."""
        return wire_format(self.protocol)

    @classmethod
    def cases(cls) -> tuple[ProtocolCase, ...]:
        """All cases of the protocol."""
        return load_cases(cls.fixtures)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Each test once for each case that it is about (pytest calls this)."""
        for name, is_about in _ABOUT.items():
            if name in metafunc.fixturenames:
                cases = [case for case in self.cases() if is_about(case)]
                metafunc.parametrize(name, cases, ids=str)
        if "odd" in metafunc.fixturenames:
            metafunc.parametrize("odd", list(ODD_ANSWERS.values()), ids=list(ODD_ANSWERS))

    def test_there_is_a_case_of_every_kind(self) -> None:
        """Its cases tell of answers of all kinds, and of errors of all classes."""
        cases = self.cases()
        kinds = {case.kind for case in cases}
        classes = {case.fails.failure_class for case in cases if case.fails is not None}
        missing: list[str] = [each for each in NEEDED_KINDS if each not in kinds | self.without]
        missing += [each for each in NEEDED_CLASSES if each not in classes | self.without]
        assert not missing, f"{self.protocol} has no case of: {', '.join(missing)}"
        twice = [name for name, many in Counter(map(str, cases)).items() if many > 1]
        assert not twice, f"cases of one name: {', '.join(twice)}"

    def test_a_request_goes_out_as_documented(self, said: ProtocolCase) -> None:
        """Path, headers and body are what the provider's documentation asks for."""
        assert said.sends is not None
        made = exchange(said, self.protocol, self.wire, said.answer or Answer(body={}))
        _check_sent(said.sends, made)

    def test_nothing_of_the_key_is_said_but_in_a_header(self, said: ProtocolCase) -> None:
        """A key is shown where it belongs, and stands neither in the address nor in the body."""
        made = exchange(said, self.protocol, self.wire, Answer(body={}))
        shown = [value for value in made.request.headers.values() if KEY in value]
        assert shown, "no header shows the key"
        assert KEY not in str(made.request.url), "the address holds the key"
        assert KEY.encode() not in made.request.content, "the body holds the key"

    def test_an_answer_means_what_is_documented(self, answered: ProtocolCase) -> None:
        """Text, calls, finish, usage and limits; or a failure's class, and how long to wait."""
        assert answered.answer is not None
        _check_meaning(answered, exchange(answered, self.protocol, self.wire, answered.answer))

    def test_an_answer_may_come_otherwise_than_it_was_asked_for(
        self, answered: ProtocolCase
    ) -> None:
        """Servers stream what was to come in one piece, and send in one piece what was not."""
        assert answered.answer is not None
        mode = "never" if answered.answer.events is not None else "always"
        case = answered.model_copy(update={"lane": {**answered.lane, "stream": mode}})
        _check_meaning(case, exchange(case, self.protocol, self.wire, answered.answer))

    def test_a_server_that_refuses_a_word_is_asked_in_another(
        self, relearned: ProtocolCase
    ) -> None:
        """What has an equal is said by it from then on; it costs the job nothing."""
        assert relearned.answer is not None and relearned.then_sends is not None
        first, then = exchanges(
            relearned, self.protocol, self.wire, relearned.answer, relearned.answer
        )
        assert first.failure is not None
        assert first.failure.failure_class is FailureClass.UNSUPPORTED_FIELD, f"{first.failure}"
        _check_sent(relearned.then_sends, then)

    def test_a_stream_means_the_same_wherever_it_is_cut(self, streamed: ProtocolCase) -> None:
        """The network cuts where it likes."""
        assert streamed.answer is not None
        for pieces in _PIECES:
            made = exchange(streamed, self.protocol, self.wire, streamed.answer, pieces=pieces)
            _check_meaning(streamed, made)

    def test_all_that_is_said_in_a_stream_is_heard(self, streamed: ProtocolCase) -> None:
        """Whoever counts tokens of a call that breaks off hears what the model said."""
        assert streamed.answer is not None
        if streamed.means is None:
            return
        made = exchange(streamed, self.protocol, self.wire, streamed.answer)
        said = streamed.means.text or ""
        assert said in made.heard or not said, "the stream's text() leaves out what was said"

    def test_an_answer_that_was_cut_is_none(self, good: ProtocolCase) -> None:
        """What came of it is an error, or all of the answer: never a part that passes for all."""
        assert good.answer is not None and good.means is not None
        whole = good.answer.encoded()
        places = sorted({len(whole) * part // 24 for part in range(24)})
        cut = [
            Answer(
                status=good.answer.status,
                headers=good.answer.all_headers(),
                body=whole[:place].decode(errors="replace"),
            )
            for place in places
        ]
        for made in exchanges(good, self.protocol, self.wire, *cut):
            if made.completion is not None:
                _check_said(good.means, made.completion)

    def test_whatever_comes_is_an_error_of_a_class(self, odd: Answer) -> None:
        """No bytes end a worker: each is a failure, in one sentence, without the key."""
        for mode in ("never", "always"):
            case = ProtocolCase(name="odd", kind="odd", lane={"stream": mode})
            made = exchange(case, self.protocol, self.wire, odd)
            assert made.failure is not None, "it passes for an answer"
            _check_message(made.failure.message)

    def test_an_error_repeats_neither_key_nor_prompt(self) -> None:
        """What a provider says of an error may hold both; it goes into logs and replies."""
        prompt = "the patient Iris Brandt of Lindenallee 17 has had a fever since Tuesday"
        request = {"messages": [{"role": "user", "content": prompt}]}
        case = ProtocolCase(name="echo", kind="odd", request=request)
        for status in (400, 401, 404, 429, 500):
            body = {"error": {"message": f"bad key {KEY} in request: {prompt}"}}
            made = exchange(case, self.protocol, self.wire, Answer(status=status, body=body))
            assert made.failure is not None
            assert KEY not in made.failure.message, "the message holds the key"
            assert "Iris Brandt" not in made.failure.message, "the message holds the prompt"

    def test_what_cannot_be_said_is_said_before_any_call(self, unsaid: ProtocolCase) -> None:
        """Each field that would be dropped has its clause; nothing else has one."""
        _, lane = lane_of(unsaid, self.protocol)
        clauses = self.wire.unsupported(unsaid.chat, unsaid.wanted, lane)
        for wanted in unsaid.unsupported:
            assert any(each.startswith(wanted) for each in clauses), f"{wanted} is dropped unsaid"
        assert len(clauses) == len(unsaid.unsupported), f"said besides: {clauses}"

    def test_what_can_be_said_has_no_clause(self, said: ProtocolCase) -> None:
        """A lane is a rung for whatever its protocol has words for."""
        _, lane = lane_of(said, self.protocol)
        clauses = self.wire.unsupported(said.chat, said.wanted, lane)
        assert clauses == (), f"{clauses}"


def _check_sent(wanted: Sends, made: Exchange) -> None:
    if wanted.path is not None:
        sent = made.request.url.raw_path.decode()
        assert sent.endswith(wanted.path), f"{sent} does not end in {wanted.path}"
    for name, value in wanted.headers.items():
        shown = made.request.headers.get(name)
        assert shown == value.replace("{key}", KEY), f"header {name} is {shown!r}"
    if wanted.body is not None:
        assert made.body == wanted.body, _differences(made.body, wanted.body)
    for text in wanted.has:
        escaped = orjson.dumps(text)[1:-1]
        assert escaped in made.request.content, f"the body does not hold {text!r}"


def _differences(found: Any, wanted: Any, place: str = "") -> str:
    """Where two values differ first."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted(found.keys() | wanted.keys()):
            if name not in found or name not in wanted or found[name] != wanted[name]:
                return _differences(found.get(name), wanted.get(name), f"{place}/{name}")
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            if one != other:
                return _differences(one, other, f"{place}/{index}")
    return f"{place or '/'} is {found!r}, not {wanted!r}"


def _check_meaning(case: ProtocolCase, made: Exchange) -> None:
    if case.fails is not None:
        assert made.failure is not None, "it passes for an answer"
        _check_failure(case.fails, made)
    elif case.means is not None:
        assert made.completion is not None, f"it failed: {made.failure}"
        _check_said(case.means, made.completion)
        _check_rest(case.means, made.completion)


def _check_failure(wanted: Fails, made: Exchange) -> None:
    failure = made.failure
    assert failure is not None
    assert failure.failure_class is wanted.failure_class, (
        f"{failure.failure_class}, not {wanted.failure_class}: {failure.message}"
    )
    _check_message(failure.message)
    for name, found, value in (
        ("scope", failure.scope, wanted.scope),
        ("retry_after", failure.retry_after, wanted.retry_after),
        ("code", failure.provider_code, wanted.code),
        ("request_id", failure.provider_request_id, wanted.request_id),
    ):
        assert value is None or found == value, f"{name} is {found!r}, not {value!r}"
    assert wanted.says is None or wanted.says in failure.message, failure.message


def _check_message(message: str) -> None:
    assert message, "the failure says nothing"
    assert len(message) <= _LONGEST_MESSAGE, "the failure says too much"
    assert KEY not in message, "the failure says the key"


def _check_said(wanted: Means, completion: Completion) -> None:
    if wanted.text is not None:
        assert completion.text == wanted.text, f"text is {completion.text!r}"
    if wanted.tool_calls is not None:
        assert len(completion.tool_calls) == len(wanted.tool_calls), f"{completion.tool_calls}"
        for call, other in zip(completion.tool_calls, wanted.tool_calls, strict=True):
            _check_call(call.id, call.function.name, call.function.arguments, other)
    if wanted.finish is not None:
        assert completion.finish is wanted.finish, f"finish is {completion.finish}"


def _check_call(call_id: str, name: str, arguments: str, wanted: Call) -> None:
    assert name == wanted.name, f"a call of {name!r}, not {wanted.name!r}"
    assert wanted.id is None or call_id == wanted.id, f"the id is {call_id!r}"
    if isinstance(wanted.arguments, str):
        assert arguments == wanted.arguments, f"the arguments are {arguments!r}"
    else:
        assert orjson.loads(arguments) == wanted.arguments, f"the arguments are {arguments}"


def _check_rest(wanted: Means, completion: Completion) -> None:
    if wanted.usage is not None:
        usage = Usage.model_validate(wanted.usage)
        assert completion.usage == usage, f"usage is {completion.usage}"
    for name, found, value in (
        ("finish_reason", completion.finish_reason, wanted.finish_reason),
        ("model_served", completion.model_served, wanted.model_served),
        ("request_id", completion.provider_request_id, wanted.request_id),
    ):
        assert value is None or found == value, f"{name} is {found!r}, not {value!r}"
    assert completion.scripted is wanted.scripted, "a simulator's answer, or not, unsaid"
    if wanted.limits is not None:
        said = completion.said
        found_limits = {} if said is None else said._asdict()
        known = {name: value for name, value in found_limits.items() if value is not None}
        assert known == wanted.limits, f"limits are {known}"
