"""The simulator's pure parts: identity, faults, answers, latency, tokens, books."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.usage import Usage
from tollway_workers.errors import InputError
from tollway_workers.local.simulator import Fault, FaultKind, LatencyProfile, SimulatorOptions
from tollway_workers.local.simulator.answers import AnswerBook, Draft, load_answers
from tollway_workers.local.simulator.ask import Ask, Asked, BadRequest, Body
from tollway_workers.local.simulator.bill import load_prices
from tollway_workers.local.simulator.books import Books, Call
from tollway_workers.local.simulator.faults import CallCount, FaultScript
from tollway_workers.local.simulator.identity import identify, names, own_name
from tollway_workers.local.simulator.latency import draw_pace
from tollway_workers.local.simulator.script import load_script
from tollway_workers.local.simulator.speech import say
from tollway_workers.local.simulator.summary import summarize
from tollway_workers.local.simulator.tokens import prompt_tokens
from tollway_workers.local.simulator.wire.openai import OPENAI
from tollway_workers.local.simulator.wire.openai.read import read

_MESSAGES = [{"role": "user", "content": "hello"}]


def _at(job: str, *, of_job: int = 1, of_source: int = 1, elapsed: float = 0.0) -> CallCount:
    return CallCount(job_id=job, of_job=of_job, of_source=of_source, elapsed=elapsed)


def _call(number: int, **fields: Any) -> Call:
    defaults: dict[str, Any] = {
        "source": "default",
        "job_id": "a",
        "generation": 1,
        "attempt": 1,
        "number": 1,
        "model": "m",
        "stream": False,
        "started": 100.0 + number,
    }
    return Call(id=number, **defaults | fields)


@given(st.from_regex(r"[!-~]{1,60}", fullmatch=True), st.integers(0, 99), st.integers(0, 99))
def test_a_job_id_with_any_characters_is_read_back(job: str, generation: int, attempt: int) -> None:
    identity = identify(f"{job}/{generation}/{attempt}", None, b"")

    assert (identity.job_id, identity.generation, identity.attempt) == (job, generation, attempt)


def test_without_numbers_the_header_is_the_job_and_without_headers_the_body_is() -> None:
    assert identify("just-a-name", "other", b"").job_id == "just-a-name"
    assert identify(None, "other", b"").job_id == "other"
    assert identify(None, None, b"x") == identify(None, None, b"x")
    assert identify(None, None, b"x") != identify(None, None, b"y")


def test_a_job_is_known_by_what_follows_its_runs_name() -> None:
    assert list(names("run:a/b")) == ["run:a/b", "a/b", "b"]
    assert own_name("run:a/b") == "b"
    assert own_name("a") == "a"


def test_the_first_fault_that_fits_is_the_one() -> None:
    script = FaultScript(
        (Fault(kind=FaultKind.HANG, jobs=("a",)), Fault(kind=FaultKind.SERVER_ERROR))
    )

    first, second = script.choose(_at("run:a")), script.choose(_at("b"))

    assert first and first.kind is FaultKind.HANG
    assert second and second.kind is FaultKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (Fault(kind=FaultKind.CUT, from_seconds=5, until_seconds=10), _at("a", elapsed=5)),
        (Fault(kind=FaultKind.CUT, every=3), _at("a", of_source=6)),
        (Fault(kind=FaultKind.CUT, first_attempts=2), _at("a", of_job=2)),
        (Fault(kind=FaultKind.CUT, share=1), _at("a")),
    ],
)
def test_a_fault_meets_the_calls_it_names(fault: Fault, met: CallCount) -> None:
    assert FaultScript((fault,)).choose(met) is fault


@pytest.mark.parametrize(
    ("fault", "spared"),
    [
        (Fault(kind=FaultKind.CUT, from_seconds=5, until_seconds=10), _at("a", elapsed=4.9)),
        (Fault(kind=FaultKind.CUT, from_seconds=5, until_seconds=10), _at("a", elapsed=10)),
        (Fault(kind=FaultKind.CUT, every=3), _at("a", of_source=4)),
        (Fault(kind=FaultKind.CUT, first_attempts=2), _at("a", of_job=3)),
        (Fault(kind=FaultKind.CUT, jobs=("a",)), _at("ba")),
        (Fault(kind=FaultKind.CUT, share=0), _at("a")),
    ],
)
def test_a_fault_spares_all_others(fault: Fault, spared: CallCount) -> None:
    assert FaultScript((fault,)).choose(spared) is None


def test_a_share_is_that_share_the_same_in_every_run_and_another_for_another_seed() -> None:
    def met(seed: int, prefix: str) -> list[bool]:
        script = FaultScript((Fault(kind=FaultKind.CUT, share=0.1),), seed=seed)
        return [script.choose(_at(f"{prefix}job-{n}")) is not None for n in range(5_000)]

    assert 400 < sum(met(0, "")) < 600
    assert met(0, "run-1:") == met(0, "run-2/") == met(0, "")
    assert met(0, "") != met(1, "")


def test_a_repeated_call_draws_again() -> None:
    script = FaultScript((Fault(kind=FaultKind.CUT, share=0.5),))

    drawn = [script.choose(_at("a", of_job=n)) is None for n in range(1, 100)]

    assert 25 < sum(drawn) < 75


def test_a_fault_script_is_toml_or_json(tmp_path: Path) -> None:
    toml, json = tmp_path / "f.toml", tmp_path / "f.json"
    toml.write_text('[[fault]]\nkind = 429\nshare = 0.5\n[[fault]]\nkind = "hang"\njobs = ["a"]\n')
    json.write_text('[{"kind": "429", "share": 0.5}, {"kind": "hang", "jobs": ["a"]}]')

    assert load_script(toml) == load_script(json)
    assert [fault.kind for fault in load_script(toml).faults] == [
        FaultKind.RATE_LIMIT,
        FaultKind.HANG,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[fault]]\nkind = 418\n", "fault 1, kind"),
        ("[[fault]]\nkind = 500\n[[fault]]\nkind = 500\nshare = 2\n", "fault 2, share"),
        ("[[fault]]\nkind = 500\nfrom_seconds = 9\nuntil_seconds = 3\n", "later than from_seconds"),
        ("[[fault]]\nkind = 500\nwhen = 3\n", "fault 1, when"),
        ("[[faults]]\nkind = 500\n", "unknown key 'faults'"),
        ("kind = ", "not a fault script"),
        ('[[fault]]\nkind = "refused"\njobs = ["a"]\n', "nothing that jobs could go by"),
        ("[overload]\ncapacity = 0\n", "overload, capacity"),
        ("[overload]\nabove = 0.5\n", "overload, capacity"),
        ("[[fault]]\nkind = " + "[" * 20_000, "nested too deeply"),
        ("[[fault]]\nkind." + "a." * 2_000 + "a = 1", "nested too deeply"),
    ],
)
def test_a_mistake_in_a_fault_script_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)

    with pytest.raises(InputError) as caught:
        load_script(path)

    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_answer_key_is_found_under_either_name_and_behind_a_runs_name(tmp_path: Path) -> None:
    path = tmp_path / "key.jsonl"
    path.write_text('{"custom_id":"a","answer":{"x":1}}\n\n{"job_id":"b","answer":"text"}\n')
    book = AnswerBook(load_answers(path))
    ask = read(Asked(fields={"model": "m", "messages": _MESSAGES}))

    assert book.draft("run-7:a", ask).text == '{"x":1}'
    assert book.draft("b", ask).text == "text"
    assert book.draft("c", ask).text not in ('{"x":1}', "text")


@pytest.mark.parametrize("line", ["{", "[]", '{"custom_id":"a"}', '{"answer":1}'])
def test_a_mistake_in_an_answer_key_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "key.jsonl"
    path.write_text(f'{{"custom_id":"a","answer":1}}\n{line}\n')

    with pytest.raises(InputError, match="line 2"):
        load_answers(path)


def _ask(max_tokens: int | None = None) -> Ask:
    return Ask(
        model="m",
        prompt_tokens=1,
        max_tokens=max_tokens,
        stream=False,
        wants="text",
    )


@pytest.mark.parametrize("text", ['{"a":1}', "[1,2]", '"text"', "12", "{}", "null"])
def test_broken_json_and_truncated_json_are_no_json(text: str) -> None:
    for fault in (FaultKind.BROKEN_JSON, FaultKind.TRUNCATED):
        content = say(Draft(text), _ask(), fault).content

        assert content is not None
        if fault is FaultKind.BROKEN_JSON or text[0] in '{["':
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(content)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":1,"b":[2]}', {"a": 1}),
        ('{"a":1}', {}),
        ("{}", [{}]),
        ("[1,2]", [[1, 2]]),
        ('"text"', ["text"]),
        ("null", [None]),
        ("no JSON at all", ["no JSON at all"]),
    ],
)
def test_an_answer_of_the_wrong_shape_is_json_and_another_than_was_asked_for(
    text: str, said: object
) -> None:
    answer = say(Draft(text), _ask(), FaultKind.WRONG_SHAPE)

    assert answer.content is not None
    assert orjson.loads(answer.content) == said
    assert (answer.ending, answer.finish_reason) == ("wrong_shape", "stop")


def test_an_answer_longer_than_its_limit_is_truncated() -> None:
    answer = say(Draft("x" * 100), _ask(max_tokens=10), None)

    assert answer.content == "x" * 40
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 10)
    assert answer.ending == "truncated"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model":"m"}',
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":[1]}',
        b'{"model":"m","messages":[{"role":"user"}],"n":2}',
        b'{"model":"m","messages":[{"role":"user"}],"max_tokens":0}',
        b'{"model":"m","messages":[{"role":"user"}],"max_tokens":"5"}',
        b'{"model":"m","messages":[{"role":"user"}],"response_format":{"type":"xml"}}',
        b'{"model":"m","messages":[{"role":"user"}],"response_format":{"type":"json_object"}}',
        b'{"model":"m","messages":[{"role":"user"}],"response_format":{"type":"json_schema"}}',
    ],
)
def test_a_request_that_openai_would_refuse_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        read(Asked(fields=Body(body).fields))

    assert OPENAI.refuse(caught.value.refusal, "r").status == 400


def test_tokens_are_a_quarter_of_the_characters_and_four_a_message() -> None:
    parts = [{"type": "text", "text": "abcde"}, {"type": "image_url", "image_url": {"url": "x"}}]

    assert prompt_tokens(_MESSAGES) == 4 + 2
    assert prompt_tokens([{"role": "user", "content": parts}]) == 4 + 2 + 85
    assert prompt_tokens([{"role": "assistant", "content": None}]) == 4


def test_the_charge_is_the_larger_of_prompt_and_answer_limit() -> None:
    fields = {"model": "m", "messages": _MESSAGES}

    assert read(Asked(fields=fields)).charge == 6
    assert read(Asked(fields=fields | {"max_completion_tokens": 500})).charge == 500


def test_latency_is_reproducible_and_has_the_median_it_was_given() -> None:
    profile = LatencyProfile(ttft_median_seconds=0.5, ttft_sigma=0.4, tokens_per_second=100)

    paces = [draw_pace(profile, 1.0, 0, "job", n) for n in range(2_001)]

    median = sorted(pace.first_token_seconds for pace in paces)[1_000]
    assert 0.46 < median < 0.54
    assert paces[7] == draw_pace(profile, 1.0, 0, "job", 7)
    assert paces[7].until(100) == pytest.approx(paces[7].first_token_seconds + 1)
    assert draw_pace(profile, 0.0, 0, "job", 7).until(100) == 0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_price_is_exact_to_the_pico_dollar(prompt: int, completion: int) -> None:
    usage = Usage(input_total=prompt, output_total=completion, input_cached_read=prompt // 2)

    cost = SimulatorOptions().cost_pico_usd("m", usage)

    assert cost == prompt * 150_000 + completion * 600_000


def test_the_first_price_that_is_for_a_model_bills_each_kind_of_token(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        """
        [[price]]
        models = ["fast"]
        input = 2
        cached_read = 0.1
        cache_write_1h = 4
        output = 10
        reasoning = 12
        per_call = 0.005
        [[price]]
        input = 1
        output = 1
        """
    )
    options = SimulatorOptions(prices=load_prices(file))
    usage = Usage(
        input_total=1_111,
        input_cached_read=1_000,
        input_cache_write_5m=100,
        input_cache_write_1h=10,
        output_total=70,
        reasoning=50,
    )

    micro = 1 * 2 + 1_000 * 0.1 + 100 * 2.5 + 10 * 4 + 20 * 10 + 50 * 12
    assert options.cost_pico_usd("fast", usage) == micro * 10**6 + 5 * 10**9
    # Of the other: reads as input, writes a quarter more and twice as much.
    assert options.cost_pico_usd("slow", usage) == (1_001 + 125 + 20 + 70) * 10**6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[price]]\ninput = 1", r"price\.0\.output"),
        ("[[price]]\ninput = -1\noutput = 1", r"price\.0\.input"),
        ("[[price]]\ninput = 1\noutput = 1\ncached = 1", r"price\.0\.cached"),
        ("[[price", "not a price list"),
    ],
)
def test_a_price_list_that_is_none_says_where(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)

    with pytest.raises(InputError, match=says):
        load_prices(file)


def test_a_summary_counts_jobs_answers_and_double_bills() -> None:
    paid: dict[str, Any] = {"billed": True, "prompt_tokens": 10, "cost_pico_usd": 5}
    summary = summarize(
        [
            _call(1, **paid, ending="ok"),
            _call(2, **paid, ending="ok"),
            _call(3, **paid, ending="hang", job_id="b", in_flight=3),
            _call(4, ending="429", job_id="b"),
            _call(5, **paid, ending="ok", job_id="b"),
            _call(6, **paid, ending="ok", source="other"),
            _call(7, job_id="c"),
        ]
    )

    assert (summary.calls, summary.billed_calls, summary.running) == (7, 5, 1)
    assert (summary.jobs, summary.answered_jobs) == (4, 3)
    assert summary.jobs_billed_more_than_once == 2
    assert summary.jobs_answered_more_than_once == 1
    assert summary.extra_billed_calls == 2
    assert (summary.prompt_tokens, summary.cost_pico_usd) == (50, 25)
    assert summary.max_in_flight == 3
    assert summary.endings == {"ok": 4, "hang": 1, "429": 1, "running": 1}
    assert summary.sources == ("default", "other")


def test_books_in_a_file_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    books = Books(path)
    ended, running = _call(books.next_id()), _call(books.next_id(), job_id="b", billed=True)
    books.begin(ended)
    books.begin(running)
    books.end(ended, "ok", 200.0)
    with path.open("ab") as file:
        file.write(b'{"id":3,"sou')

    again = Books(path)

    calls = list(again.calls())
    again.close()
    books.close()
    assert [call.ending for call in calls] == ["ok", "simulator_gone"]
    assert calls[0] == ended
    assert calls[1].billed
    assert again.next_id() == 3
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("text", ['{"something": "else"}\n', "dear diary", "[]\n", "1\n"])
def test_a_file_that_holds_no_calls_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(text)

    with pytest.raises(InputError, match="holds no calls"):
        Books(path)
    assert path.read_text() == text


def test_what_was_cleared_stays_out(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    books = Books(path)
    first, other = _call(books.next_id()), _call(books.next_id(), source="other")
    books.begin(first)
    books.begin(other)

    assert books.clear("default") == 1
    books.end(first, "ok", 200.0)

    assert list(books.calls()) == [other]
    books.close()
    assert len(path.read_bytes().splitlines()) == 1
