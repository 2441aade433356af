"""The model answers in JSON, but not in the JSON that was asked for."""

import jsonschema_rs

from examples.demo.act import Ended, Row, Side
from examples.demo.provider import SIDES
from examples.docstring_jobs import SCHEMA


def invalid_answers(side: Ended) -> float:
    """Answers that were delivered and break the schema of their job."""
    schema = jsonschema_rs.validator_for(SCHEMA)
    return sum(not schema.is_valid(answer) for answer in side.answers.values())


class WrongAnswers:
    """3 % of all answers lack a required field, whatever `strict` promised."""

    faults = f"""
[[fault]]
kind = "wrong_shape"
share = 0.03
sources = {SIDES}
"""
    rows = (Row(name="invalid answers delivered", figure=invalid_answers),)

    def meanwhile(self, side: Side, answered: float) -> None:
        """Nothing: the faults are all."""

    def told(self, side: Ended) -> str:
        """Nothing: the rows are all."""
        return ""
