"""The chaos scenario of redrives at a small size: every figure keeps its bound."""

from pathlib import Path

import pytest
from ground import Stage
from redrive import Size, redrive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.usefixtures("kafka_jars"),
    pytest.mark.timeout(300),
]


async def test_dead_letters_of_seven_causes_are_mended_and_redriven_once(tmp_path: Path) -> None:
    stage = Stage(seed=1, folder=tmp_path, say=lambda line: None)

    figures = await redrive(stage, Size(letters=150, kills=2, live=10.0, before=3.0, canary=5))

    assert [figure for figure in figures if not figure.holds] == []
    assert len(figures) > 10
