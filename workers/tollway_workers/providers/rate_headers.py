"""What an answer's headers say of the account's limits, in one vocabulary for all protocols."""

from typing import NamedTuple

from tollway_workers.config.shape.contract import Resource

#: Characters of a number: longer is none, and Python refuses or crawls on some of them.
_LONGEST_NUMBER = 64


class RateHeaders(NamedTuple):
    """Limits by the minute and what remains of them; None where nothing is said, or unreadably."""

    limit_requests: int | None = None
    limit_tokens: int | None = None
    limit_input_tokens: int | None = None
    limit_output_tokens: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    remaining_input_tokens: int | None = None
    remaining_output_tokens: int | None = None
    reset_requests_seconds: float | None = None
    reset_tokens_seconds: float | None = None

    def about(self, resource: Resource) -> tuple[int | None, int | None]:
        """Limit and what remains of one resource."""
        match resource:
            case Resource.REQUESTS:
                return self.limit_requests, self.remaining_requests
            case Resource.TOKENS:
                return self.limit_tokens, self.remaining_tokens
            case Resource.INPUT_TOKENS:
                return self.limit_input_tokens, self.remaining_input_tokens
            case Resource.OUTPUT_TOKENS:
                return self.limit_output_tokens, self.remaining_output_tokens

    @property
    def reset(self) -> float | None:
        """Seconds until what is used up is there again; None where nothing is."""
        waits = (
            (self.remaining_requests, self.reset_requests_seconds),
            (self.remaining_tokens, self.reset_tokens_seconds),
        )
        return max((wait for left, wait in waits if left == 0 and wait is not None), default=None)


def amount(said: str | None) -> int | None:
    """The number that a header says; None for what is none."""
    digits = said.strip() if said else ""
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER
    return int(digits) if is_number else None
