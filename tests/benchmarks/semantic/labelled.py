"""The labelled questions of `questions/`: what asks the same, and what only looks like it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "questions"
#: Written when the guards had been tried with the others.
HELD_OUT = Path(__file__).parent / "held_out"


@dataclass(frozen=True, slots=True)
class Trap:
    """A question that is worded like another and has an answer of its own."""

    kind: str
    text: str


@dataclass(slots=True)
class Family:
    """A question, the ways in which it is asked, and its traps."""

    name: str
    same: list[str] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)

    def answer(self, trap: int | None = None) -> str:
        """The label of its answer, or of a trap's."""
        return self.name if trap is None else f"{self.name}!{trap}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts and whether they may be given one answer."""

    kind: str
    text: str
    other: str
    same: bool


class BadLine(ValueError):
    """A line of the set that says nothing; the text names file and line."""


def read_families(folder: Path = FOLDER) -> list[Family]:
    """All families, in the order of files and lines. Raises BadLine."""
    families: list[Family] = []
    for path in sorted(folder.glob("*.txt")):
        families += _families(path)
    return families


def _families(path: Path) -> list[Family]:
    families: list[Family] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        mark, _, text = line.partition(" ")
        if mark == "?":
            families.append(Family(f"{path.stem}/{len(families) + 1}"))
        if not families or not text or mark not in {"?", "=", "!"}:
            raise BadLine(f"{path.name}:{number}: a line begins with '? ', '= ' or '! kind: '")
        if mark == "!":
            kind, colon, text = text.partition(": ")
            if not colon or not kind.isalpha():
                raise BadLine(f"{path.name}:{number}: a trap is '! kind: question'")
            families[-1].traps.append(Trap(kind, text))
        else:
            families[-1].same.append(text)
    return families


def pairs(families: Sequence[Family]) -> Iterator[Pair]:
    """Each question with each of its paraphrases and of its traps."""
    for family in families:
        question, *paraphrases = family.same
        for text in paraphrases:
            yield Pair("paraphrase", question, text, same=True)
        for trap in family.traps:
            yield Pair(trap.kind, question, trap.text, same=False)
