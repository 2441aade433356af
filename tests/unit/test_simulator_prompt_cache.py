"""The provider's prompt cache, and what a limit leaves of an answer that thinks or calls."""

from typing import Any

import pytest

from tollway_workers.local.simulator.answer import ToolCall
from tollway_workers.local.simulator.answers import AnswerBook, Draft
from tollway_workers.local.simulator.ask import Ask, Block, Tool
from tollway_workers.local.simulator.faults import FaultKind
from tollway_workers.local.simulator.prompt_cache import CacheUse, PromptCache
from tollway_workers.local.simulator.speech import say


def _ask(*blocks: Block, **fields: Any) -> Ask:
    given: dict[str, Any] = {"model": "m", "max_tokens": None, "stream": False, "wants": "text"}
    total = sum(block.tokens for block in blocks)
    return Ask(**given | {"prompt_tokens": total, "blocks": blocks} | fields)


def _block(content: str, tokens: int, cached_for: int | None = None) -> Block:
    return Block(content=content, tokens=tokens, cached_for=cached_for)


def _uses(cache: PromptCache, ask: Ask, now: float, *, unasked: bool = False) -> CacheUse:
    use, kept = cache.use(ask, now, unasked=unasked)
    cache.keep(kept, now)
    return use


def test_what_is_asked_to_be_kept_is_written_once_then_read_until_its_time_is_over() -> None:
    cache = PromptCache()
    ask = _ask(_block("system", 2_000, 3_600), _block("turns", 500, 300), _block("question", 10))

    written = _uses(cache, ask, 0.0)
    read = _uses(cache, ask, 200.0)
    hour = _uses(cache, ask, 900.0)

    assert written == CacheUse(written_1h=2_000, written_5m=500)
    assert read == CacheUse(read=2_500)
    # Read at 200 s, the second lasted until 500 s.
    assert hour == CacheUse(read=2_000, written_5m=500)


def test_another_beginning_is_not_read_and_a_short_one_is_not_kept() -> None:
    cache = PromptCache()
    _uses(cache, _ask(_block("a", 2_000, 300)), 0.0)

    other = _uses(cache, _ask(_block("b", 2_000, 300)), 1.0)
    short = [_uses(cache, _ask(_block("c", 1_023, 300)), now) for now in (1.0, 2.0)]

    assert other == CacheUse(written_5m=2_000)
    assert short == [CacheUse(), CacheUse()]


def test_what_is_cached_unasked_is_read_in_whole_steps_and_written_for_nothing() -> None:
    cache = PromptCache()
    first, longer = _block("a", 1_100), _block("b", 1_000)

    uses = [_uses(cache, _ask(first, longer), now, unasked=True) for now in (0.0, 1.0)]
    shared = _uses(cache, _ask(first, _block("c", 9)), 2.0, unasked=True)

    assert uses == [CacheUse(), CacheUse(read=2_100 - 2_100 % 128)]
    assert shared == CacheUse(read=1_024)


def test_a_limit_that_thinking_uses_up_leaves_nothing_to_be_said() -> None:
    answer = say(Draft("x" * 40), _ask(max_tokens=16, reasoning_tokens=16), None)

    assert (answer.content, answer.finish_reason) == ("", "length")
    assert (answer.reasoning_tokens, answer.completion_tokens) == (16, 16)


def test_thinking_counts_towards_the_limit() -> None:
    answer = say(Draft("x" * 400), _ask(max_tokens=20, reasoning_tokens=16), None)

    assert answer.content == "x" * 16
    assert (answer.reasoning_tokens, answer.completion_tokens) == (16, 20)


@pytest.mark.parametrize("most", range(1, 12))
def test_calls_are_cut_at_the_limit_and_what_is_left_is_none(most: int) -> None:
    calls = (ToolCall(name="book", arguments='{"a":1}'), ToolCall(name="look", arguments="{}"))
    total = (1 + 2) + (1 + 1)

    answer = say(Draft("", calls), _ask(max_tokens=most), None)

    if most >= total:
        assert (answer.calls, answer.finish_reason) == (calls, "tool_calls")
    else:
        assert answer.finish_reason == "length"
        assert answer.completion_tokens <= most
        assert answer.calls != calls


def test_a_fault_befalls_the_arguments_of_the_first_call_by_its_tools_schema() -> None:
    schema = {"properties": {"kind": {"enum": ["late"]}}}
    calls = (ToolCall(name="f", arguments='{"kind":"late"}'),)

    answer = say(
        Draft("", calls), _ask(tools=(Tool(name="f", schema=schema),)), FaultKind.ENUM_CASE
    )

    assert answer.calls == (ToolCall(name="f", arguments='{"kind":"LATE"}'),)
    assert answer.ending == "enum_case"


def test_a_key_says_which_tools_are_called_where_there_are_any() -> None:
    said = {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
    book = AnswerBook({"a": said, "b": {"a": 2}})
    tool = Tool(name="f")

    called = book.draft("run:a", _ask(tools=(tool,)))
    forced = book.draft("b", _ask(tools=(tool,), must_call=True))
    without = book.draft("a", _ask())

    assert called.calls == (ToolCall(name="f", arguments='{"a":1}'),)
    assert forced.calls == (ToolCall(name="f", arguments='{"a":2}'),)
    assert without.calls == () and without.text.startswith("{")


def test_tools_that_may_be_called_are_called_for_their_share_of_the_jobs() -> None:
    # Each begins a process that makes arguments.
    never, half, always = (AnswerBook({}, tool_share=share) for share in (0.0, 0.5, 1.0))

    def called(book: AnswerBook, of: int = 20, **fields: Any) -> int:
        book.draft("warm", _ask(tools=(Tool(name="f"),), must_call=True))
        ask = _ask(tools=(Tool(name="f"),), **fields)
        return sum(bool(book.draft(f"job-{n}", ask).calls) for n in range(of))

    assert called(never) == 0
    assert 70 < called(half, of=200) < 130
    assert called(always) == 20
    # Who has been told the results speaks; so does who was asked for a form.
    assert called(always, has_results=True) == called(always, wants="json_object") == 0
