"""What to serve, and how; the same for the object and for the command line of its process."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: The word by which calls ask for the weights that come with `tollway[local-llm]`.
SHIPPED_MODEL = "gemma-3-270m"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """A model and the room it is given. The defaults fit two cores and 1 GiB of memory."""

    #: A GGUF file; None: the weights that come with `tollway[local-llm]`.
    model: Path | None = None
    #: Messages follow each other with nothing between but a line break: for models that were never
    #: taught to chat. Always so for the shipped weights.
    plain: bool = False
    #: On 127.0.0.1; 0 takes a free one.
    port: int = 0
    #: Calls that are answered at the same time; more of them wait.
    slots: int = 4
    #: Prompt and answer of one call, in tokens.
    context_tokens: int = 2048

    @property
    def name(self) -> str:
        """The model in the server's word."""
        return SHIPPED_MODEL if self.model is None else self.model.stem

    @property
    def speaks_plainly(self) -> bool:
        """Whether the model is given the bare text of the messages."""
        return self.plain or self.model is None

    def arguments(self) -> list[str]:
        """The command line that `parse` reads as these options."""
        model = [] if self.model is None else ["--model", str(self.model)]
        plain = ["--plain"] if self.plain else []
        numbers = {
            "--port": self.port,
            "--slots": self.slots,
            "--context-tokens": self.context_tokens,
        }
        return [*model, *plain, *(word for pair in numbers.items() for word in map(str, pair))]


def parse(arguments: Sequence[str]) -> ModelOptions:
    """Read a command line; one that cannot be used ends the process with a sentence and 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tollway_workers.local.llm",
        description="Serve a small real model on 127.0.0.1 in OpenAI's wire format. The first line "
        "of stdout is a JSON object with its base_url and model. Ends when its stdin ends.",
    )
    default = ModelOptions()
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the shipped weights")
    parser.add_argument("--plain", action="store_true", help="no chat template: for base models")
    parser.add_argument(
        "--port", type=_between(0, 65_535), default=default.port, help="0 takes a free one"
    )
    parser.add_argument(
        "--slots", type=_between(1, 256), default=default.slots, help="calls at the same time"
    )
    parser.add_argument(
        "--context-tokens",
        type=_between(64, 1_000_000),
        default=default.context_tokens,
        help="prompt and answer of one call",
    )
    return ModelOptions(**vars(parser.parse_args(arguments)))


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return number

    return read
