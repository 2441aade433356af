"""How recent it is, what a client knows of a partition that it follows. Pure.

That Kafka has answered proves little: while a process is frozen, an answer from before lies in its
socket. But an answer is asked for only once the one before it was taken out.
"""


class Looks:
    """State: the last answer, and when at the earliest the next one was asked for."""

    def __init__(self) -> None:
        self._answer: int | None = None
        self._asked: float | None = None

    def know_until(self, answer: int | None, began: float) -> float | None:
        """Until when all is known that was written; None where this look tells nothing new.

        `answer`: a number that differs from answer to answer, None where there is none; it was
        taken out after `began` (seconds of any clock that counts suspend).
        """
        if answer is None or answer == self._answer:
            return None
        asked, self._answer, self._asked = self._asked, answer, began
        return asked
