"""Answers as models damage them, each with the truth that it was made from."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from tollway_schemas.request import OutputSchema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"type": "string"},
        "category": {"enum": ["refund_request", "complaint", "praise", "other"]},
        "priority": {"type": "integer", "minimum": 1, "maximum": 5},
        "total": {"type": "number"},
        "urgent": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "note": {"type": "string"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
                "required": ["name", "price"],
                "additionalProperties": False,
            },
        },
        "due": {"type": "string"},
    },
    "required": ["customer", "category", "priority", "total", "urgent", "tags", "items"],
    "additionalProperties": False,
}
OUTPUT = OutputSchema(json_schema=SCHEMA)

Truth = dict[str, Any]


class Damaged(NamedTuple):
    """One answer as it came."""

    kind: str
    text: str
    truth: Truth
    #: Whether the provider said that it was cut.
    cut: bool = False


class Kind(NamedTuple):
    """One way to damage an answer."""

    damage: Callable[[Truth, Random], str]
    #: Whether the truth can be read from what is left, for certain.
    repairable: bool = True
    cut: bool = False


_NAMES = ["Ada O'Neil", "Zoë", "Li, Wei", "Bob: the {builder}", "A [b] c", "Søren # 7", "Иван"]
_NOTES = [
    "call back // soon", "it's fine", "two, three: four", 'the "blue" one', "http://x.y/z?q=[1]",
    "", "line", "{not json}", "100 % /* sic */", "null", "back\\slash",
]  # fmt: skip


def truth(rng: Random) -> Truth:
    """A valid answer with something in it that a careless reader trips over."""
    value: Truth = {
        "customer": rng.choice(_NAMES),
        "category": rng.choice(SCHEMA["properties"]["category"]["enum"]),
        "priority": rng.randint(1, 5),
        "total": round(rng.uniform(-5, 900), 2),
        "urgent": rng.random() < 0.5,
        "tags": rng.sample(["red", "green", "late, again", "it's", "x"], rng.randint(1, 3)),
        "items": [
            {"name": rng.choice(_NAMES), "price": round(rng.uniform(1, 99), 2)}
            for _ in range(rng.randint(1, 3))
        ],
    }
    if rng.random() < 0.6:
        value["note"] = rng.choice(_NOTES)
    if rng.random() < 0.5:
        value["due"] = "2026-11-29"
    return value


def damaged_answers(each: int = 20, seed: int = 7) -> Iterator[Damaged]:
    """So many answers of each kind."""
    rng = Random(seed)
    for name, kind in KINDS.items():
        for _ in range(each):
            value = truth(rng)
            yield Damaged(name, kind.damage(value, rng), value, kind.cut)


def _json(value: Any, rng: Random) -> str:
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 2]))


def _fence(value: Truth, rng: Random) -> str:
    return f"```{rng.choice(['json', '', 'JSON'])}\n{_json(value, rng)}\n```"


def _prose(value: Truth, rng: Random) -> str:
    before = rng.choice(["Sure! Here it is:", "I've read [1] it. Answer:", "{answer} follows: "])
    return f"{before}\n\n{_json(value, rng)}\n\nLet me know if it's what you need."


def _think(value: Truth, rng: Random) -> str:
    draft = _json({**value, "total": -1}, rng)
    opened = rng.choice(["<think>", "<thinking>", "", "[THINK]"])
    closed = {"<thinking>": "</thinking>", "[THINK]": "[/THINK]"}.get(opened, "</think>")
    return f"{opened}perhaps {draft}, it's not sure{closed}\n{_json(value, rng)}"


def _draft(value: Truth, rng: Random) -> str:
    draft = _json({**value, "priority": 1, "customer": "draft"}, rng)
    return f"First: {draft}\nNo, better:\n{_json(value, rng)}"


def _trailing_comma(value: Truth, rng: Random) -> str:
    text = json.dumps(value, indent=2)
    return text.replace("\n  ]", ",\n  ]").replace("\n}", ",\n}")


def _single_quotes(value: Truth, rng: Random) -> str:
    return repr({**value, "urgent": value["urgent"]})


def _python_words(value: Truth, rng: Random) -> str:
    return (
        json.dumps(value)
        .replace('"urgent": true', '"urgent": True')
        .replace('"urgent": false', '"urgent": False')
    )


def _comments(value: Truth, rng: Random) -> str:
    lines = json.dumps(value, indent=2).splitlines()
    lines[1] += rng.choice(["  // who wrote", " # from the header", " /* as it's written */"])
    return "\n".join(lines)


def _unquoted_keys(value: Truth, rng: Random) -> str:
    text = json.dumps(value, indent=2)
    for name in (*value, "name", "price"):
        text = text.replace(f'  "{name}":', f"  {name}:")
    return text


def _missing_comma(value: Truth, rng: Random) -> str:
    lines = json.dumps(value, indent=2).splitlines()
    at = rng.choice([at for at, line in enumerate(lines) if line.endswith(",")])
    lines[at] = lines[at].removesuffix(",")
    return "\n".join(lines)


def _raw_newline(value: Truth, rng: Random) -> str:
    value["note"] = "first line\nsecond\tline"
    return json.dumps(value).replace("\\n", "\n").replace("\\t", "\t")


def _inner_quotes(value: Truth, rng: Random) -> str:
    value["note"] = 'they said "never again" twice'
    return json.dumps(value).replace('\\"', '"')


def _enum_case(value: Truth, rng: Random) -> str:
    category = str(value["category"])
    ways = [category.upper(), category.title(), category.replace("_", " ").capitalize()]
    return _json({**value, "category": rng.choice(ways)}, rng)


def _number_as_string(value: Truth, rng: Random) -> str:
    return _json({**value, "total": str(value["total"]), "priority": str(value["priority"])}, rng)


def _boolean_as_string(value: Truth, rng: Random) -> str:
    return _json({**value, "urgent": rng.choice(["{}", " {} "]).format(value["urgent"])}, rng)


def _null_optional(value: Truth, rng: Random) -> str:
    value.pop("due", None)
    return _json({**value, "due": None}, rng)


def _one_for_a_list(value: Truth, rng: Random) -> str:
    value["items"] = value["items"][:1]
    return _json({**value, "items": value["items"][0]}, rng)


def _extra_key(value: Truth, rng: Random) -> str:
    value |= {"note": "n", "due": "2026-01-01"}
    return _json({**value, "confidence": 0.9}, rng)


def _wrapped(value: Truth, rng: Random) -> str:
    return _json({rng.choice(["answer", "result", "data"]): value}, rng)


def _as_json_string(value: Truth, rng: Random) -> str:
    return json.dumps(json.dumps(value))


def _missing_field(value: Truth, rng: Random) -> str:
    gone = rng.choice(SCHEMA["required"])
    return _json({name: each for name, each in value.items() if name != gone}, rng)


def _cut(value: Truth, rng: Random) -> str:
    text = json.dumps(value)
    return text[: rng.randint(1, len(text) - 1)]


def _cut_after_a_draft(value: Truth, rng: Random) -> str:
    return f"{json.dumps({**value, 'priority': 1, 'total': 0})}\nNo, better: {_cut(value, rng)}"


def _elided(value: Truth, rng: Random) -> str:
    text = json.dumps({**value, "items": []}, indent=2)
    return text.replace(
        '"items": []', f'"items": [{rng.choice(["...", "// the rest as above", "…"])}\n]'
    )


def _comma_in_number(value: Truth, rng: Random) -> str:
    value["total"] = 1234.5
    return _json(
        {**value, "total": rng.choice(["1,234.5", "1.234,5", "$1234.5", "1234.5 EUR"])}, rng
    )


def _other_name(value: Truth, rng: Random) -> str:
    value["due"] = "2026-11-29"
    said = {("deadline" if name == "due" else name): each for name, each in value.items()}
    return _json(said, rng)


KINDS: dict[str, Kind] = {
    "fence": Kind(_fence),
    "prose": Kind(_prose),
    "think": Kind(_think),
    "draft before": Kind(_draft),
    "trailing comma": Kind(_trailing_comma),
    "single quotes": Kind(_single_quotes),
    "python words": Kind(_python_words),
    "comments": Kind(_comments),
    "unquoted keys": Kind(_unquoted_keys),
    "missing comma": Kind(_missing_comma),
    "raw newline": Kind(_raw_newline),
    "inner quotes": Kind(_inner_quotes),
    "enum case": Kind(_enum_case),
    "number as string": Kind(_number_as_string),
    "boolean as string": Kind(_boolean_as_string),
    "null for optional": Kind(_null_optional),
    "one for a list": Kind(_one_for_a_list),
    "extra key": Kind(_extra_key),
    "wrapped": Kind(_wrapped),
    "JSON as string": Kind(_as_json_string),
    "missing field": Kind(_missing_field, repairable=False),
    "cut, and said so": Kind(_cut, repairable=False, cut=True),
    "cut without a word": Kind(_cut, repairable=False),
    "cut after a draft": Kind(_cut_after_a_draft, repairable=False),
    "elided": Kind(_elided, repairable=False),
    "number with a comma": Kind(_comma_in_number, repairable=False),
    "property of another name": Kind(_other_name, repairable=False),
}
