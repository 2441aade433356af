"""A laboratory: hundreds of damaged answers whose truth is known, and what becomes of each."""

from collections import Counter, defaultdict
from collections.abc import Callable
from statistics import mean

from damaged_answers import KINDS, OUTPUT, SCHEMA, Damaged, damaged_answers
from scripted_provider import completion
from unconfined import Unconfined

from tollway_schemas.reply import Answer
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.limits.estimate import prompt_tokens
from tollway_workers.providers.base import Finish
from tollway_workers.validation.engine import accepts, compiled
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.reask import reask
from tollway_workers.validation.validator import ResultValidator

_REPAIRABLE = 0.8
#: What the answers were made from: some two pages.
_REQUEST = ChatRequest(messages=(Message(role="user", content="All that was said. " * 300),))


class Laboratory:
    """What became of each answer, and what asking again for the others costs."""

    def __init__(self) -> None:
        self.validator = ResultValidator(Judge(Unconfined()))
        self.steps: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.reasked: list[int] = []
        self.patched: list[int] = []
        self.wrong: list[tuple[str, str]] = []

    async def hold(self, each: Damaged) -> None:
        answer, step = await self._answer(each)
        self.steps[each.kind][step] += 1
        if answer is not None and answer.parsed != each.truth:
            self.wrong.append((each.kind, each.text))

    async def _answer(self, each: Damaged) -> tuple[Answer | None, str]:
        finish = Finish.LENGTH if each.cut else Finish.STOP
        try:
            answer = await self.validator.validate(OUTPUT, completion(each.text, finish=finish))
        except ProviderError:
            return None, "longer"
        except InvalidResult as bad:
            again = reask(_REQUEST, bad.answer, bad.problems, "auto")
            is_patch = again.messages[0] != _REQUEST.messages[0]
            (self.patched if is_patch else self.reasked).append(prompt_tokens(again, OUTPUT))
            return None, "re-asked"
        assert accepts(compiled(SCHEMA), answer.parsed)
        return answer, "repaired" if answer.repairs else "as it is"

    def __str__(self) -> str:
        columns = ("as it is", "repaired", "re-asked", "longer")
        rows = [
            f"{kind:26}" + "".join(f"{steps[each]:>10}" for each in columns)
            for kind, steps in self.steps.items()
        ]
        first = prompt_tokens(_REQUEST, OUTPUT)
        return "\n".join(
            (
                f"{'damaged answers':26}" + "".join(f"{each:>10}" for each in columns),
                *rows,
                f"prompt of the first call: {first} tokens; of {len(self.reasked)} whole re-asks: "
                f"{mean(self.reasked):.0f} each; of {len(self.patched)} patches: "
                f"{mean(self.patched):.0f} each",
            )
        )


async def test_what_is_accepted_of_damaged_answers_is_the_truth(
    record_property: Callable[[str, object], None],
) -> None:
    laboratory = Laboratory()

    for each in damaged_answers():
        await laboratory.hold(each)

    record_property("shown", str(laboratory))
    assert laboratory.wrong == []
    for name, kind in KINDS.items():
        steps = laboratory.steps[name]
        taken = (steps["as it is"] + steps["repaired"]) / steps.total()
        assert taken >= _REPAIRABLE if kind.repairable else taken == 0, name
    assert sum(steps.total() for steps in laboratory.steps.values()) >= 400
    assert mean(laboratory.patched) < mean(laboratory.reasked) / 2
