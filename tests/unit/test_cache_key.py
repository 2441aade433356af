"""The key of the exact cache: any change of meaning changes it, and no change of form does."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import job

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job
from tollway_workers.cache.key import cache_key, lane_identity
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.route import RouteSettings

Fields = dict[str, Any]
Change = Callable[[Fields], object]

ROUTE = RouteSettings(lanes=("main",), cache=CacheSettings(exact=True))
LANE = "0123"


def asked() -> Fields:
    """A job as JSON that says something in every field of its request."""
    function = {"name": "find", "description": "finds", "parameters": {"type": "object"}}
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
    request = {
        "messages": [
            {"role": "system", "content": "You extract.", "name": "a"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}, image]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "nothing", "tool_call_id": "1"},
        ],
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "seed": 1,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning_effort": "low",
        "extras": {"openai": {"logit_bias": {"1": 2, "3": 4}}},
    }
    schema = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"default": None}}}
    output = {
        **{"mode": "json_schema", "json_schema": schema, "name": "answer"},
        **{"description": "what", "strict": True},
    }
    fields: Fields = orjson.loads(encode(job(tenant="acme")))
    return {**fields, "request": request, "output": output}


def key_of(fields: Fields, route: RouteSettings = ROUTE, lane: str = LANE) -> bytes | None:
    return cache_key(decode(Job, orjson.dumps(fields)), lane, route)


def _leaves(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of each scalar in a JSON value."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [place for name, each in pairs for place in _leaves(each, (*at, name))]
    return [at]


def _with(fields: Fields, at: tuple[Any, ...], new: object) -> Fields:
    changed: Fields = orjson.loads(orjson.dumps(fields))
    inner: Any = changed
    for name in at[:-1]:
        inner = inner[name]
    if new is None:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return changed


def _other(value: object) -> object:
    """Another value of its kind, which the same fields take."""
    others: dict[object, object] = {
        **{"system": "user", "user": "system", "tool": "user", "auto": "none", "low": "high"},
        **{"json_schema": "json_object", "assistant": "user"},
    }
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2
        case str():
            return others.get(value, f"{value}x")
        case _:
            return "something"


PLACES = [
    ("request", *place) for place in _leaves(asked()["request"]) if place[-1] not in ("type",)
] + [("output", *place) for place in _leaves(asked()["output"])]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(map(str, place)))
def test_every_change_of_what_is_asked_changes_the_key(place: tuple[Any, ...]) -> None:
    fields = asked()
    value: Any = fields
    for name in place:
        value = value[name]

    changed = _with(fields, place, _other(value))

    assert key_of(fields) is not None
    assert key_of(changed) is not None
    assert key_of(changed) != key_of(fields)


@pytest.mark.parametrize(
    "place",
    [
        *[("request", name) for name in asked()["request"] if name != "messages"],
        *[("request", "messages", at) for at in range(4)],
        ("request", "messages", 0, "name"),
        ("output",),
        ("output", "json_schema", "properties", "b", "default"),
    ],
    ids=str,
)
def test_what_is_left_out_changes_the_key(place: tuple[Any, ...]) -> None:
    assert key_of(_with(asked(), place, None)) != key_of(asked())


def test_messages_in_another_order_are_another_question() -> None:
    fields = asked()
    fields["request"]["messages"][:2] = fields["request"]["messages"][1::-1]

    assert key_of(fields) != key_of(asked())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
_SCHEMAS = st.dictionaries(st.text(max_size=3), _JSON, max_size=4)


def _shuffled(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(name, _shuffled(each, dice)) for name, each in value.items()]
        dice.shuffle(items)
        return dict(items)
    return [_shuffled(each, dice) for each in value] if isinstance(value, list) else value


@given(schema=_SCHEMAS, extras=_SCHEMAS, seed=st.integers(0, 1000))
def test_the_order_of_keys_and_white_space_of_json_mean_nothing(
    schema: Fields, extras: Fields, seed: int
) -> None:
    fields = asked()
    fields["output"]["json_schema"] = schema
    fields["request"]["extras"]["openai"] = {f"x{name}": each for name, each in extras.items()}
    other = orjson.dumps(_shuffled(fields, random.Random(seed)), option=orjson.OPT_INDENT_2)

    assert key_of(fields) == cache_key(decode(Job, other), LANE, ROUTE)


@given(one=_SCHEMAS, other=_SCHEMAS)
def test_two_schemas_have_one_key_only_where_they_are_equal_json(
    one: Fields, other: Fields
) -> None:
    fields = asked()
    keys = []
    for schema in (one, other):
        fields["output"]["json_schema"] = schema
        keys.append(key_of(fields))

    canonical = [orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in (one, other)]
    assert (keys[0] == keys[1]) == (canonical[0] == canonical[1])


@given(text=st.text(max_size=20), other=st.text(max_size=20))
def test_two_prompts_have_one_key_only_where_they_are_equal(text: str, other: str) -> None:
    fields = asked()
    keys = []
    for each in (text, other):
        fields["request"]["messages"][0]["content"] = each
        keys.append(key_of(fields))

    assert (keys[0] == keys[1]) == (text == other)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another", "generation": 3},
        {"labels": {"a": "b"}, "run": "today"},
        {"priority": "interactive", "accept": ["live", "cached"]},
        {"no_store": True, "max_age": 5.0},
        {"a field of a newer release": 1},
    ],
    ids=str,
)
def test_what_belongs_to_one_job_alone_is_not_in_the_key(change: Fields) -> None:
    assert key_of({**asked(), **change}) == key_of(asked())


@pytest.mark.parametrize(
    "route",
    [
        ROUTE.model_copy(update={"cache": CacheSettings(exact=True, cache_version="2")}),
        ROUTE.model_copy(update={"cache": CacheSettings(exact=True, scope="shared")}),
        ROUTE.model_copy(update={"tenant": "another"}),
        ROUTE.model_copy(update={"check": "shop:check"}),
        ROUTE.model_copy(update={"repair": False}),
        ROUTE.model_copy(update={"coercions": ()}),
    ],
    ids=str,
)
def test_what_a_route_holds_answers_to_is_in_the_key(route: RouteSettings) -> None:
    assert key_of(asked(), route) not in (None, key_of(asked()))


def test_a_tenant_has_answers_of_its_own_unless_the_route_shares_them() -> None:
    shared = ROUTE.model_copy(update={"cache": CacheSettings(exact=True, scope="shared")})
    other = {**asked(), "tenant": "bolt"}
    none = {name: each for name, each in asked().items() if name != "tenant"}

    assert len({key_of(asked()), key_of(other), key_of(none), None}) == 4
    assert key_of(asked(), shared) == key_of(other, shared) == key_of(none, shared)


def test_the_tenant_that_a_route_is_bound_to_is_believed_and_no_other() -> None:
    bound = ROUTE.model_copy(update={"tenant": "acme"})

    assert key_of({**asked(), "tenant": "bolt"}, bound) == key_of(asked())


def _settings(**changed: Any) -> FleetSettings:
    provider = {"base_url": "http://127.0.0.1:1/v1", "call_timeout": 9.0, **changed}
    own: Fields = {n: provider.pop(n) for n in ("model", "max_output_tokens") if n in provider}
    lane = {"provider": "main", "model": "m", "concurrency": 3, **own}
    return FleetSettings.model_validate({"providers": {"main": provider}, "lanes": {"main": lane}})


@pytest.mark.parametrize(
    "changed",
    [
        {"base_url": "http://127.0.0.1:2/v1"},
        {"model": "m2"},
        {"headers": {"x-version": "2"}},
        {"structured_output": "none"},
        {"profile": "groq"},
        {"protocol": "responses"},
        {"max_output_tokens": 100},
    ],
    ids=str,
)
def test_another_model_address_or_way_to_ask_is_another_lane(changed: Fields) -> None:
    plain, other = (lane_identity("main", each) for each in (_settings(), _settings(**changed)))

    assert plain != other
    assert key_of(asked(), lane=plain) != key_of(asked(), lane=other)


@pytest.mark.parametrize("changed", [{"call_timeout": 5.0}, {"base_url": "http://127.0.0.1:1/v1/"}])
def test_what_changes_no_answer_leaves_a_lane_what_it_was(changed: Fields) -> None:
    assert lane_identity("main", _settings(**changed)) == lane_identity("main", _settings())


def _image(url: str) -> Fields:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "message",
    [
        {"content": [_image("https://example.org/a.png")]},
        {"content": [_image("data:image/png;base64,AA"), _image("http://example.org/a.png")]},
        {"content": [_image("gs://bucket/a.png")]},
        {"content": [{"type": "file", "file": {"file_id": "f"}}]},
        {"content": [{"type": "text", "text": "a", "file": "b"}]},
        {"content": "a", "attachments": ["f"]},
        {"content": None, "audio": {"id": "an earlier answer"}},
    ],
    ids=str,
)
def test_what_a_job_does_not_hold_itself_is_never_kept(message: Fields) -> None:
    fields = asked()
    fields["request"]["messages"].append({"role": "user", **message})

    assert key_of(fields) is None


@pytest.mark.parametrize(
    ("protocol", "extra"),
    [
        *(("openai", name) for name in ("web_search_options", "previous_response_id")),
        *(("openai", "data_sources"), ("responses", "tools"), ("gemini", "cachedContent")),
    ],
)
def test_an_answer_that_depends_on_the_world_is_never_kept(protocol: str, extra: str) -> None:
    fields = asked()
    fields["request"]["extras"].setdefault(protocol, {})[extra] = {}

    assert key_of(fields) is None


@pytest.mark.parametrize("number", [2**64, -(2**64)])
def test_numbers_that_no_key_tells_apart_have_none(number: int) -> None:
    the_job = decode(Job, orjson.dumps(asked()))
    assert the_job.output is not None
    output = the_job.output.model_copy(update={"json_schema": {"maximum": number}})

    assert cache_key(the_job.model_copy(update={"output": output}), LANE, ROUTE) is None


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (0.2, True), (0.3, False)])
def test_a_route_keeps_answers_up_to_a_temperature(temperature: float, kept: bool) -> None:
    cool = ROUTE.model_copy(update={"cache": CacheSettings(exact=True, max_temperature=0.2)})
    fields = _with(asked(), ("request", "temperature"), temperature)

    assert (key_of(fields, cool) is not None) is kept


def test_a_temperature_that_is_not_named_is_none_that_is_known() -> None:
    cool = ROUTE.model_copy(update={"cache": CacheSettings(exact=True, max_temperature=2.0)})

    assert key_of(_with(asked(), ("request", "temperature"), None), cool) is None


def test_a_route_without_a_cache_has_no_keys() -> None:
    assert key_of(asked(), RouteSettings(lanes=("main",))) is None
