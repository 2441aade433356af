"""How far the estimate of tokens is from a model's own count, and what counting takes.

`tokens.py path/to/tokenizer.json` says it for a model; without an argument for a small tokenizer
that is trained on this repository's own texts, which shows the times but nobody's accuracy.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import orjson
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tollway_workers.limits.estimate import text_tokens
from tollway_workers.providers.tokenizer import ModelTokens

ROOT = Path(__file__).parents[2]
ROUNDS = 7
#: Characters of a sample, and of the same written on until it is a long text.
SAMPLE, LONG = 4_096, 1024 * 1024

GERMAN = """Die Lieferung umfasst zwölf Geräte; die Rechnung über 4.310,50 Euro ist bis zum
Monatsende zu begleichen. Bitte prüfen Sie, ob die Seriennummern mit dem Lieferschein
übereinstimmen, und melden Sie Abweichungen schriftlich, damit wir den Vorgang klären können. """
CHINESE = "我们的工程师正在测试一个新的排队系统。它把任务分配给不同的服务器。没有任何请求会丢失。"


def samples() -> dict[str, str]:
    """Texts of the kinds that prompts are made of."""
    dice = Random(1)
    docs = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md")))
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(ROOT.glob("workers/tollway_workers/*.py"))
    )
    rows = [
        {"id": n, "name": f"item {n}", "price": n * 1.37, "tags": ["new", "sale"], "stock": None}
        for n in range(1_000)
    ]
    texts = {
        "English, technical": docs,
        "German": GERMAN * 40,
        "Python": code,
        "JSON": orjson.dumps(rows).decode(),
        "Chinese": CHINESE * 100,
        "digits": "".join(dice.choices("0123456789", k=SAMPLE)),
    }
    return {kind: text[:SAMPLE] for kind, text in texts.items()}


def tokenizer_of(arguments: list[str]) -> Tokenizer:
    """The one that is named, else a small one of our own."""
    if arguments:
        return Tokenizer.from_file(arguments[0])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=8_000, show_progress=False, initial_alphabet=alphabet)
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("workers/**/*.py"))]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def seconds(step: Callable[[], object]) -> float:
    """The least time of several calls."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - began)
    return best


def longest_hold(step: Callable[[], object]) -> float:
    """Seconds that this thread is held up at most while another does it; the least of several."""
    holds: list[float] = []
    for _ in range(ROUNDS):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            step()
            done.set()

        worst, last = 0.0, time.perf_counter()
        threading.Thread(target=work).start()
        while not done.is_set():
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
        holds.append(worst)
    return min(holds)


def main() -> None:
    """Print the table."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    count = ModelTokens(tokenizer_of(sys.argv[1:]))
    table = Table(title=f"tokens of {SAMPLE:,} characters, and what counting them takes")
    for column in ("text", "counted", "estimated", "off", "us/KB", f"ms for {LONG // 2**20} M"):
        table.add_column(column, justify="left" if column == "text" else "right")
    kinds = samples()
    for kind, text in kinds.items():
        exact, estimated = count.count(text), text_tokens(text)
        size = len(text.encode()) / 1024
        long = text * (LONG // len(text))
        table.add_row(
            kind,
            f"{exact:,}",
            f"{estimated:,}",
            f"{estimated / exact - 1:+.0%}",
            f"{seconds(lambda t=text: count.count(t)) / size * 1e6:.0f}",  # type: ignore[misc]  # bound now
            f"{seconds(lambda t=long: count.sampled(t)) * 1e3:.0f}",  # type: ignore[misc]  # bound now
        )
    console = Console()
    console.print(table)
    text = kinds["English, technical"] * 16
    console.print(
        f"64 KB take {seconds(lambda: count.count(text)) * 1e3:.1f} ms of a thread "
        f"and hold up the others for {longest_hold(lambda: count.count(text)) * 1e3:.2f} ms at most"
    )


if __name__ == "__main__":
    main()
