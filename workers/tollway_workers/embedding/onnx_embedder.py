"""The embedder that is a model on this machine, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tollway_workers.embedding.onnx_model import OnnxModel
from tollway_workers.errors import EmbedderError
from tollway_workers.job.ports import Vector
from tollway_workers.telemetry.embedder_events import EmbedderCall, EmbedderEvents, Unheard

#: Texts that may wait for the thread: some seconds of it. Who comes then has no vector.
_MOST_WAITING = 256


class OnnxEmbedder:
    """Computes one text after another. An `Embedder`.

    State: `_waiting`, texts that are computed or will be; `_closed`.
    """

    def __init__(
        self,
        model: OnnxModel,
        *,
        timeout: float,
        name: str = "",
        events: EmbedderEvents | None = None,
    ) -> None:
        """`timeout`: seconds for a call, waiting for the thread included; `events` are told under
        its `name`.
        """
        self._name = name
        self._events = events or Unheard()
        self._model = model
        self._timeout = timeout
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._waiting = 0
        self._closed = False

    @property
    def id(self) -> str:
        """By what is in the model's files, and its dimensions."""
        return self._model.id

    def fits(self, text: str) -> bool:
        """Whether the model sees and knows all of it."""
        return self._model.fits(text)

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of texts that fit. Raises EmbedderError."""
        if self._closed:
            raise EmbedderError("the embedder is closed")
        if self._waiting + len(texts) > max(_MOST_WAITING, len(texts)):
            raise EmbedderError(f"{self._waiting} texts wait for the embedder already")
        given_up = threading.Event()
        began, ending = time.monotonic(), "given_up"
        self._waiting += len(texts)
        work = self._thread.submit(self._vectors, tuple(texts), given_up)
        # Counted until the thread is done with them, whether or not anybody waits for them still.
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: self._told(loop, len(texts)))
        try:
            async with asyncio.timeout(self._timeout):
                vectors = await asyncio.wrap_future(work)
            ending = "ok"
        except EmbedderError:
            ending = "failed"
            raise
        except TimeoutError:
            ending = "timeout"
            raise EmbedderError(f"no vectors within {self._timeout:g} s") from None
        finally:
            given_up.set()
            seconds = time.monotonic() - began
            self._events.embedder_called(EmbedderCall(self._name, ending, seconds, len(texts)))
        return vectors

    async def aclose(self) -> None:
        """End the thread once its text is computed, without waiting for it; idempotent."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _vectors(self, texts: tuple[str, ...], given_up: threading.Event) -> list[Vector]:
        vectors: list[Vector] = []
        for text in texts:
            if given_up.is_set():
                break
            if not self._model.fits(text):
                raise EmbedderError("a text is longer than the model's window, or not of its words")
            try:
                vectors.append(self._model.vector(text))
            except Exception as error:  # noqa: BLE001 the library raises nothing more special
                # Its own words may quote the text.
                raise EmbedderError(f"the model failed ({type(error).__name__})") from None
        return vectors

    def _told(self, loop: asyncio.AbstractEventLoop, texts: int) -> None:
        try:
            loop.call_soon_threadsafe(self._done, texts)
        except RuntimeError:
            # The loop has ended, and who would count with it.
            return

    def _done(self, texts: int) -> None:
        self._waiting -= texts

    def __repr__(self) -> str:
        return f"<OnnxEmbedder {self.id} [{self._waiting} texts wait]>"
