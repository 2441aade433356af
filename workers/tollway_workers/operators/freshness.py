"""How recent a client's knowledge of a followed partition is. Pure.

An answer of Kafka alone proves little: while a process is frozen, an older answer lies in its
socket. But a client asks for an answer only after it has taken out the one before.
"""


class Freshness:
    """State: the last answer, and when at the earliest the next one was asked for."""

    def __init__(self) -> None:
        self._answer: int | None = None
        self._asked: float | None = None

    def answered(self, answer: int | None, began: float) -> float | None:
        """Take Kafka's answer in; the time before which every record is known, None if unchanged.

        `answer`: a number that differs from answer to answer, None where there is none; it was
        taken out after `began` (seconds of any clock that counts suspend).
        """
        if answer is None or answer == self._answer:
            return None
        asked, self._answer, self._asked = self._asked, answer, began
        return asked
