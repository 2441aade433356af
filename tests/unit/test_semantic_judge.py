"""The judge of the semantic cache: its labelled questions, its traffic, and what it counts."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from labelled import HELD_OUT, BadLine, Family, Trap, pairs, read_families
from numpy.typing import NDArray
from replay import Replay
from similar_traffic import Request, Shape, draw
from threshold import at_the_same_share, at_threshold

FAMILIES = read_families()


class Alike:
    """Every text lies at the same place."""

    def __getitem__(self, text: str, /) -> NDArray[np.float32]:
        return np.array([1.0, 0.0], np.float32)


class Apart:
    """Texts of different first letters lie at right angles."""

    def __getitem__(self, text: str, /) -> NDArray[np.float32]:
        vector = np.zeros(256, np.float32)
        vector[ord(text[0])] = 1.0
        return vector


def test_the_set_has_hundreds_of_questions_each_with_paraphrases_and_traps() -> None:
    labelled = [*pairs(FAMILIES)]

    assert len(FAMILIES) >= 400
    assert len(labelled) >= 1_600
    assert sum(pair.same for pair in labelled) >= 800
    assert all(len(family.same) >= 3 and len(family.traps) >= 2 for family in FAMILIES)
    assert {"number", "negation", "unit", "entity", "order"} < {pair.kind for pair in labelled}


def test_no_text_of_the_set_stands_twice() -> None:
    families = [*FAMILIES, *read_families(HELD_OUT)]
    texts = [text for family in families for text in family.same]
    texts += [trap.text for family in families for trap in family.traps]

    assert [text for text, count in Counter(map(str.casefold, texts)).items() if count > 1] == []


@pytest.mark.parametrize("line", ["What is it?", "= before any question", "? ", "? a\n! no kind"])
def test_a_line_that_says_nothing_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.txt").write_text(line)

    with pytest.raises(BadLine, match=r"bad\.txt:\d"):
        read_families(tmp_path)


def test_traffic_is_the_same_for_a_seed_and_repeats_no_text() -> None:
    shape = Shape(requests=3_000)

    traffic = draw(FAMILIES, shape, 7)

    assert traffic == draw(FAMILIES, shape, 7)
    assert traffic != draw(FAMILIES, shape, 8)
    assert len({request.text for request in traffic.requests}) == 3_000
    assert traffic.repeated > 0


def test_traffic_asks_few_questions_often_and_as_many_traps_as_it_is_told() -> None:
    traffic = draw(FAMILIES, Shape(requests=5_000, traps=0.25), 1)

    asked = Counter(request.answer.partition("!")[0] for request in traffic.requests)
    often = sum(count for _, count in asked.most_common(len(FAMILIES) // 10))
    traps = sum(request.kind != "same" for request in traffic.requests)

    assert often > 0.4 * 5_000
    assert 0.2 < traps / 5_000 < 0.35


def test_quoted_text_is_never_mistyped() -> None:
    family = Family("quoted", ['Translate "completely different" please'] * 3, [Trap("x", "y")])

    texts = [request.text for request in draw([family], Shape(20, traps=0.0), 1).requests]

    assert all('"completely different"' in text for text in texts)


def test_a_replay_counts_right_and_wrong_answers_by_their_labels() -> None:
    replay = Replay(Alike(), error_bound=0.3, recheck=0.0, seed=1)

    learned = replay.run([Request("how are you", "one", "same")] * 400, "serve")
    wrong = replay.run([Request("how are you", "other", "entity")] * 50, "serve")

    assert learned.served > 200
    assert learned.wrong == 0
    assert 0 < wrong.wrong <= wrong.served
    assert wrong.wrong_by_kind == {"entity": wrong.wrong}
    assert (wrong.asked, wrong.wrong_share) == (50, wrong.wrong / 50)


def test_a_replay_in_shadow_learns_what_serving_would_have_taught() -> None:
    requests = [Request("how are you", "one", "same")] * 300
    served = Replay(Alike(), error_bound=0.3, recheck=0.02, seed=1)
    shadow = Replay(Alike(), error_bound=0.3, recheck=0.02, seed=1)

    counts = served.run(requests, "serve")

    assert shadow.run(requests, "shadow") == counts
    assert [each.bands for each in shadow.observations] == [
        each.bands for each in served.observations
    ]


def test_a_threshold_serves_what_is_near_whatever_it_asks() -> None:
    requests = [
        Request("a question", "a", "same"),
        Request("b question", "b", "same"),
        Request("a question again", "a", "same"),
        Request("a question, but not that", "other", "negation"),
    ]

    alone = at_threshold(Apart(), requests, 0.9, guarded=False)

    assert (alone.served, alone.wrong, alone.wrong_of_served) == (0.5, 0.25, 0.5)
    assert at_the_same_share(Apart(), requests, 0.5, guarded=False).served == 0.5
