"""What befalls the fleets whose limits are judged: written down, the same in every run."""

from account import RATES, SHARDS, Binding, waiting_level
from attainable import Slice
from schedule import Act, Step

WORKERS = ("w0", "w1", "w2", "w3")

#: Workers 1 -> 4 -> 2 -> 4, a rest, and -> 2 -> 4 again: an act every 5 s, no freeze as long as a
#: session (6 s).
#: `w0` is there at the beginning. No process is frozen twice in half a minute: it would give its
#: shards away for a while, and rightly so (health/lag.py). Nobody is frozen right after a
#: kill: a rebalance that waits for the one and then for the other outlasts the lease of all.
CHURN = (
    # Requests bind.
    Step(at=0.0, act=Act.JOIN, worker="w1"),
    Step(at=5.0, act=Act.JOIN, worker="w2"),
    Step(at=10.0, act=Act.JOIN, worker="w3"),
    Step(at=15.0, act=Act.FREEZE, worker="w1", seconds=4.0),
    Step(at=20.0, act=Act.KILL, worker="w0"),
    Step(at=25.0, act=Act.RESTART, worker="w2"),
    Step(at=30.0, act=Act.FREEZE, worker="w0", seconds=4.0),
    Step(at=35.0, act=Act.KILL, worker="w3"),
    Step(at=40.0, act=Act.LEAVE, worker="w1"),
    Step(at=45.0, act=Act.LEAVE, worker="w3"),
    Step(at=50.0, act=Act.FREEZE, worker="w2", seconds=4.5),
    Step(at=55.0, act=Act.KILL, worker="w0"),
    Step(at=60.0, act=Act.JOIN, worker="w1"),
    Step(at=65.0, act=Act.JOIN, worker="w3"),
    Step(at=70.0, act=Act.KILL, worker="w2"),
    # Tokens bind.
    Step(at=120.0, act=Act.FREEZE, worker="w3", seconds=4.0),
    Step(at=125.0, act=Act.KILL, worker="w1"),
    Step(at=130.0, act=Act.RESTART, worker="w0"),
    Step(at=135.0, act=Act.FREEZE, worker="w2", seconds=4.0),
    Step(at=140.0, act=Act.KILL, worker="w3"),
    Step(at=145.0, act=Act.LEAVE, worker="w2"),
    Step(at=150.0, act=Act.LEAVE, worker="w3"),
    Step(at=155.0, act=Act.FREEZE, worker="w0", seconds=4.5),
    Step(at=160.0, act=Act.KILL, worker="w1"),
    Step(at=165.0, act=Act.JOIN, worker="w2"),
    Step(at=170.0, act=Act.JOIN, worker="w3"),
    Step(at=175.0, act=Act.RESTART, worker="w0"),
    Step(at=180.0, act=Act.FREEZE, worker="w2", seconds=4.0),
    Step(at=185.0, act=Act.KILL, worker="w3"),
    Step(at=190.0, act=Act.KILL, worker="w1"),
)
#: From when on what binds. Nothing happens from 75 to 120, and once the schedule is over.
CHURN_BINDS: tuple[tuple[float, Binding], ...] = ((0.0, "requests"), (120.0, "tokens"))
#: Seconds in which the use is judged: a while after a limit began to bind, what was saved up before
#: is gone; a while after the last act, all shards are in use.
UNDER_CHURN: dict[Binding, tuple[float, float]] = {"requests": (5, 75), "tokens": (125, 195)}
AT_REST: dict[Binding, tuple[float, float]] = {"requests": (85, 120), "tokens": (205, 245)}

#: Frozen for longer than a session, so that others have their shards when they wake. All four are
#: there at the beginning.
FREEZES = (
    # Requests bind.
    Step(at=0.0, act=Act.FREEZE, worker="w0", seconds=8.0),
    Step(at=5.0, act=Act.FREEZE, worker="w1", seconds=9.0),
    Step(at=10.0, act=Act.RESTART, worker="w2"),
    Step(at=15.0, act=Act.FREEZE, worker="w3", seconds=12.0),
    Step(at=20.0, act=Act.KILL, worker="w0"),
    Step(at=25.0, act=Act.FREEZE, worker="w1", seconds=9.0),
    Step(at=30.0, act=Act.FREEZE, worker="w2", seconds=8.0),
    Step(at=35.0, act=Act.KILL, worker="w3"),
    Step(at=40.0, act=Act.FREEZE, worker="w0", seconds=10.0),
    # Tokens bind.
    Step(at=45.0, act=Act.RESTART, worker="w1"),
    Step(at=50.0, act=Act.FREEZE, worker="w2", seconds=9.0),
    Step(at=55.0, act=Act.FREEZE, worker="w3", seconds=8.0),
    Step(at=60.0, act=Act.KILL, worker="w1"),
    Step(at=65.0, act=Act.FREEZE, worker="w0", seconds=9.0),
    Step(at=70.0, act=Act.FREEZE, worker="w2", seconds=8.0),
    Step(at=75.0, act=Act.FREEZE, worker="w3", seconds=14.0),
    Step(at=80.0, act=Act.KILL, worker="w1"),
    Step(at=85.0, act=Act.FREEZE, worker="w0", seconds=8.0),
)
FREEZES_BINDS: tuple[tuple[float, Binding], ...] = ((0.0, "requests"), (45.0, "tokens"))


def slice_of(binding: Binding) -> Slice:
    """A slice of what binds under churn."""
    rate = RATES[binding]
    since, *_ = (at for at, each in CHURN_BINDS if each == binding)
    return Slice(
        full=rate.capacity(SHARDS) / rate.rate(SHARDS),
        waiting=waiting_level(binding) / rate.rate(SHARDS),
        binds_since=since,
    )
