"""What the workers of other frameworks have in common here."""

import gc

#: Milliseconds, the least that a broker takes: after a crash nobody waits longer than it must.
SESSION_MS = 6_000


def tuned() -> None:
    """Collect garbage as rarely as our workers do: at 1,500 calls in flight it matters."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 50, 50)
