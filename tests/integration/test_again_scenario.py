"""The chaos scenario of known answers at a small size: every figure keeps its bound."""

from pathlib import Path

import pytest
from again import Size, again
from ground import Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.usefixtures("kafka_jars"),
    pytest.mark.timeout(300),
]


async def test_each_question_is_paid_for_once_while_workers_are_killed(tmp_path: Path) -> None:
    stage = Stage(seed=1, folder=tmp_path, say=lambda line: None)

    figures = await again(stage, Size(jobs=600, rate=30.0, between=(4.0, 8.0)))

    assert [figure for figure in figures if not figure.holds] == []
    assert len(figures) > 15
