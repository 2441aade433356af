"""A model's `tokenizer.json`: opened, and asked for the tokens of a text.

Its library raises nothing more special than Exception; and where its Rust code panics, by a damaged
file or at one text, something that is no Exception and would end whoever asks. Here both are a
`TokenizerError`.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

#: The largest vocabularies of 2026 make files of some 35 MB.
MOST_BYTES = 256 * 1024 * 1024


class TokenizerError(ValueError):
    """A file that is no tokenizer, or a text that it has no tokens for. Quotes nothing."""


def tokenizer_of(content: str) -> "Tokenizer":
    """By what is in the file. Raises ImportError without the library, and TokenizerError."""
    # One thread computes: the other cores have workers of their own.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(content)
    except BaseException as error:
        if not _is_a_refusal(error):
            raise
        # Its own words may quote the text.
        raise TokenizerError(type(error).__name__) from None


def for_whole_texts(tokenizer: "Tokenizer") -> "Tokenizer":
    """The same one, which sees all of a text and nothing but it."""
    # A file that was made for a model of embeddings may cut texts short, or fill them up.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # What looks like a special token in a prompt is the text that it is.
    tokenizer.encode_special_tokens = True
    return tokenizer


def encoding_of(tokenizer: "Tokenizer", text: str, *, with_special: bool) -> "Encoding":
    """The text's tokens, and those that the model has around it. Raises TokenizerError."""
    if not text.isascii():
        # Lone surrogates are in no UTF-8, so no model sees them.
        text = text.encode("utf-8", "replace").decode("utf-8")
    try:
        # Alone of all its methods this one lets go of the interpreter, also for one text.
        (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=with_special)
    except BaseException as error:
        if not _is_a_refusal(error):
            raise
        # Its own words may quote the text.
        raise TokenizerError(type(error).__name__) from None
    return encoding


def _is_a_refusal(error: BaseException) -> bool:
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
