"""A laboratory: hundreds of damaged answers whose truth is known, and what becomes of each."""

from collections import Counter, defaultdict

import pytest
from damaged_answers import KINDS, OUTPUT, SCHEMA, Damaged, damaged_answers
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.reply import Answer
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.providers.base import Finish
from tollway_workers.validation.engine import accepts, compiled
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator

_REPAIRABLE = 0.8


async def _answer(validator: ResultValidator, each: Damaged) -> Answer | None:
    finish = Finish.LENGTH if each.cut else Finish.STOP
    try:
        return await validator.validate(OUTPUT, completion(each.text, finish=finish))
    except (InvalidResult, ProviderError):
        return None


async def test_what_is_accepted_of_damaged_answers_is_the_truth(
    capsys: pytest.CaptureFixture[str],
) -> None:
    validator = ResultValidator(Judge(Unconfined()))
    accepted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[tuple[str, str]] = []
    strict = compiled(SCHEMA)

    for each in damaged_answers():
        answer = await _answer(validator, each)
        step = "none" if answer is None else "repaired" if answer.repairs else "as it is"
        accepted[each.kind][step] += 1
        if answer is not None:
            assert accepts(strict, answer.parsed)
            if answer.parsed != each.truth:
                wrong.append((each.kind, each.text))

    with capsys.disabled():
        print(f"\n{'kind':28}{'as it is':>10}{'repaired':>10}{'re-asked':>10}")  # noqa: T201
        for kind, steps in accepted.items():
            counts = "".join(f"{steps[step]:>10}" for step in ("as it is", "repaired", "none"))
            print(f"{kind:28}{counts}")  # noqa: T201
    assert wrong == []
    for name, kind in KINDS.items():
        taken = 1 - accepted[name]["none"] / accepted[name].total()
        assert taken >= _REPAIRABLE if kind.repairable else taken == 0, name
