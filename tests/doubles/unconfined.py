"""The judging process's double: the same answers, from this process and at once."""

from concurrent.futures import Future

from tollway_workers.validation.confined import Ended
from tollway_workers.validation.judge_child import judge


class Unconfined:
    """Answers as the child would, without its limits: for schemas that a test has written."""

    def ask(self, payload: bytes, estimate: int = 0) -> "Future[Ended]":
        done: Future[Ended] = Future()
        done.set_result(Ended(tuple(judge(payload, allow=lambda _: None))))
        return done
