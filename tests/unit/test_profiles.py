"""One table says how servers of OpenAI's protocol differ; each row reaches the wire."""

from typing import Any, get_args

import orjson
import pytest

from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import FleetSettings, LaneConfig, resolve_lane
from tollway_workers.config.shape.profiles import PROFILES, ProfileName, profile_of
from tollway_workers.providers.openai.wire_format import WIRE_FORMAT

SCHEMA: dict[str, Any] = {"type": "object", "required": ["a"]}


def _lane(profile: str | None, base_url: str = "http://127.0.0.1:1/v1", **lane: Any) -> LaneConfig:
    provider = {"base_url": base_url} | ({} if profile is None else {"profile": profile})
    settings = FleetSettings.model_validate(
        {
            "providers": {"p": provider},
            "lanes": {"l": {"provider": "p", "model": "m", "stream": "always", **lane}},
        }
    )
    return resolve_lane("l", settings)


def _body(lane: LaneConfig, output: OutputSchema | None = None, **fields: Any) -> Any:
    messages = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "json"}]
    given = {"messages": messages, "max_output_tokens": 9, "seed": 7} | fields
    request = ChatRequest.model_validate_json(orjson.dumps(given))
    return orjson.loads(WIRE_FORMAT.build(request, output, lane, frozenset()))


def test_every_name_of_the_configuration_has_a_row() -> None:
    assert tuple(PROFILES) == get_args(ProfileName)


@pytest.mark.parametrize(
    ("name", "limit", "form", "rule"),
    [
        ("openai", "max_completion_tokens", "json_schema", "openai_max"),
        ("azure", "max_completion_tokens", "json_schema", "sum"),
        ("vllm", "max_tokens", "json_schema", "openai_max"),
        ("ollama", "max_tokens", "json_schema", "openai_max"),
        ("llama.cpp", "max_tokens", "json_schema", "openai_max"),
        ("groq", "max_completion_tokens", "json_schema", "sum"),
        ("together", "max_tokens", "json_schema", "openai_max"),
        ("openrouter", "max_tokens", "json_schema", "openai_max"),
        ("deepseek", "max_tokens", "json_object", "openai_max"),
        ("mistral", "max_tokens", "json_schema", "openai_max"),
        ("lm-studio", "max_tokens", "json_schema", "openai_max"),
    ],
)
def test_a_row_says_the_limit_s_name_the_answer_s_form_and_the_token_rule(
    name: ProfileName, limit: str, form: str, rule: str
) -> None:
    lane = _lane(name)

    body = _body(lane, OutputSchema(json_schema=SCHEMA))

    assert body[limit] == 9
    assert body["response_format"]["type"] == form
    assert lane.token_rule == rule


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://shop.OPENAI.azure.com/openai/v1", "azure"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.together.xyz/v1", "together"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://notopenrouter.ai/v1", None),
        ("https://openrouter.ai.example.com/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("https://[::1", None),
    ],
)
def test_a_server_is_known_by_its_address(address: str, name: ProfileName | None) -> None:
    known = profile_of(None, address)

    assert next((each for each in PROFILES if PROFILES[each] is known), None) == name


def test_what_a_lane_says_for_itself_goes_first() -> None:
    lane = _lane("deepseek", structured_output="none", token_rule="input", tokens_per_minute=9)

    assert (lane.structured_output, lane.token_rule) == ("none", "input")


def test_a_key_is_shown_in_the_header_that_the_server_reads() -> None:
    assert WIRE_FORMAT.auth("k", _lane("azure")) == ((b"api-key", b"k"),)
    assert WIRE_FORMAT.auth("k", _lane(None)) == ((b"Authorization", b"Bearer k"),)


def test_requests_of_a_day_are_not_taken_for_a_minute_s() -> None:
    headers = {"x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-tokens": "5"}

    of_groq = WIRE_FORMAT.limits(headers, _lane("groq"))
    of_openai = WIRE_FORMAT.limits(headers, _lane("openai"))

    assert of_groq is not None and of_openai is not None
    assert (of_groq.limit_requests, of_groq.remaining_tokens) == (None, 5)
    assert of_openai.limit_requests == 14_400


def test_a_stream_s_usage_is_asked_for_where_it_must_and_may_be() -> None:
    assert _body(_lane("vllm"))["stream_options"] == {"include_usage": True}
    assert _body(_lane("openai"))["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }
    assert "stream_options" not in _body(_lane("mistral"))


def test_a_role_and_a_field_go_by_the_server_s_own_names() -> None:
    of_mistral, of_openai = _body(_lane("mistral")), _body(_lane("openai"))

    assert of_mistral["messages"][0]["role"] == "system"
    assert (of_mistral["random_seed"], "seed" in of_mistral) == (7, False)
    assert of_openai["messages"][0]["role"] == "developer"
    assert of_openai["seed"] == 7


def test_a_server_that_knows_schemas_alone_is_asked_for_any_object_by_one() -> None:
    form = _body(_lane("lm-studio"), OutputSchema(mode="json_object"))["response_format"]

    assert form == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }
