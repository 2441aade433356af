"""One partition's part of a fetch, record by record, in place of aiokafka's `PartitionRecords`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from tollway_schemas.reading.batch import (
    COVERED_FROM,
    HEADER_BYTES,
    SMALLEST_RECORD,
    BatchHeader,
    entries,
    is_ordinary,
    without_codec,
)
from tollway_schemas.reading.entry import BytesOf, Entry, unreadable
from tollway_schemas.reading.frames import Frame, frames
from tollway_schemas.reading.legacy import is_packed, is_whole, legacy_entries
from tollway_schemas.reading.unpack import CannotUnpack, unpacked

_FORMAT = 2


@dataclass
class UnreadableRecord(ConsumerRecord[bytes, bytes]):  # type: ignore[misc]  # aiokafka is untyped
    """Stands where a record, or a whole batch, cannot be read.

    Its offset is the last that it stands for; key, value and headers are as much as was found:
    where nothing was, its value is the bytes that stand there.
    """

    #: Why not, in one sentence that names topic, partition and offset.
    why: str = ""
    #: What its value is where that is not the record's own.
    bytes_of: BytesOf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What Kafka answered of one partition."""

    place: TopicPartition
    #: The offset that was asked for.
    begin: int
    #: The offset behind the last record that there is.
    end: int
    records: bytes
    #: Producers whose transactions were taken back, with the offsets where those began; None
    #: where records of open transactions are read too.
    aborted: Iterable[tuple[int, int]] | None = None


class FetchedRecords:
    """Every record from `begin` on, in order; never raises.

    State: `next_fetch_offset`, behind what was given; `work`, bytes that were looked at or
    unpacked since somebody set it to 0.
    """

    def __init__(self, fetched: Fetched, most_unpacked: int) -> None:
        self._fetched = fetched
        self._most = most_unpacked
        self._aborted = sorted(fetched.aborted or (), key=lambda each: each[1])
        self._aborting: set[int] = set()
        self.next_fetch_offset = fetched.begin
        self.work = 0
        self._records = self._each()

    @property
    def place(self) -> TopicPartition:
        """Topic and partition."""
        return self._fetched.place

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._records)

    def _each(self) -> Iterator[Any]:
        cut = list(frames(self._fetched.records))
        for number, frame in enumerate(cut, 1):
            behind = cut[number].offset if number < len(cut) else -1
            self.work += len(frame.raw)
            try:
                yield from self._of_batch(frame, behind)
            except Exception as error:  # noqa: BLE001 a bug of ours must not stop a partition either
                why = f"met an unexpected {type(error).__name__}"
                yield from self._step_over(frame, behind, why)

    def _of_batch(self, frame: Frame, behind: int) -> Iterator[Any]:
        if frame.magic == _FORMAT:
            return self._of_format_2(frame, behind)
        if frame.magic in (0, 1):
            return self._of_old_format(frame, behind)
        if frame.magic is None:
            return self._step_over(frame, behind, "says a length that is not its own")
        why = f"has format {frame.magic}, which this release does not know"
        return self._step_over(frame, behind, why)

    def _of_format_2(self, frame: Frame, behind: int) -> Iterator[Any]:
        header = BatchHeader.of(frame.raw)
        if header is None or header.crc != calc_crc32c(frame.raw[COVERED_FROM:]):
            yield from self._step_over(frame, behind, "fails its checksum")
            return
        following = header.last_offset + 1
        is_old = following <= self.next_fetch_offset and header.last_offset_delta >= 0
        if is_old and self._goes_on(behind):
            return
        if following <= self.next_fetch_offset or not self._may_be(header):
            yield from self._step_over(frame, behind, "says offsets that are not its own")
            return
        if self._is_hidden(header):
            self.next_fetch_offset = following
            return
        body, why = self._body(frame, header)
        if why is None and not self._may_be(header, len(body)):
            why = "says offsets that are not its own"
        if why is None:
            yield from self._of_records(frame, header, body)
            self.next_fetch_offset = following
        elif following <= self._fetched.end:
            yield from self._whole_batch(frame, header.last_offset, why)
        else:
            yield from self._step_over(frame, behind, why)

    def _may_be(self, header: BatchHeader, size: int | None = None) -> bool:
        """Whether the offsets that it says are its own, as far as can be told; `size` of its body.

        Kafka answers with what was written since it looked up where the partition ends: such a
        batch has a record for each of its offsets.
        """
        if header.last_offset < self._fetched.end:
            return True
        is_full = header.records == header.last_offset_delta + 1
        return is_full and (size is None or header.records * SMALLEST_RECORD <= size)

    def _body(self, frame: Frame, header: BatchHeader) -> tuple[bytes, str | None]:
        """Its records as bytes, unpacked; or why not."""
        body = frame.raw[HEADER_BYTES:]
        if not header.codec:
            return body, None
        try:
            body = unpacked(header.codec, body, self._most)
        except CannotUnpack as error:
            self.work += self._most
            return b"", str(error)
        self.work += len(body)
        return body, None

    def _of_records(self, frame: Frame, header: BatchHeader, body: bytes) -> Iterator[Any]:
        """A batch's records: by aiokafka's fast reader, and from where that stumbles by ours.

        By ours alone where one may have more headers than are read: the other makes them all.
        """
        if not is_ordinary(body):
            yield from self._given(
                entries(header, body, self.next_fetch_offset), header.last_offset
            )
            return
        raw = without_codec(frame.raw, body) if header.codec else frame.raw
        expected, last = header.base_offset, header.last_offset
        try:
            for record in DefaultRecordBatch(memoryview(raw)):
                if not expected <= record.offset <= last:
                    break
                expected = record.offset + 1
                if record.offset < self.next_fetch_offset:
                    continue
                self.next_fetch_offset = record.offset + 1
                yield self._record(record)
            else:
                return
        except Exception:  # noqa: BLE001, S110 what it stumbles over may be anything: read below
            pass
        yield from self._given(entries(header, body, self.next_fetch_offset), last)

    def _of_old_format(self, frame: Frame, behind: int) -> Iterator[Any]:
        fetched, is_old = self._fetched, frame.offset < self.next_fetch_offset
        if is_old and self._goes_on(behind):
            return
        if not is_whole(frame):
            yield from self._step_over(frame, behind, "fails its checksum")
        elif is_old or frame.offset >= fetched.end + len(fetched.records):
            yield from self._step_over(frame, behind, "says an offset that is not its own")
        else:
            self.work += self._most if is_packed(frame) else 0
            yield from self._given(legacy_entries(frame, self._most), frame.offset)
            self.next_fetch_offset = frame.offset + 1

    def _given(self, read: Iterable[Entry], last: int) -> Iterator[Any]:
        for entry in read:
            at = entry.offset
            if entry.why is not None and not self.next_fetch_offset <= at <= last:
                at = last
            if self.next_fetch_offset <= at <= last:
                self.next_fetch_offset = at + 1
                yield self._record(entry._replace(offset=at))

    def _goes_on(self, behind: int) -> bool:
        """Whether more is read of this fetch than a batch that was read before."""
        return behind >= 0 or self.next_fetch_offset > self._fetched.begin

    def _step_over(self, frame: Frame, behind: int, why: str) -> Iterator[Any]:
        """Stand for a batch that cannot be believed, its offsets included.

        Where the next batch begins is known if that is here; what the batch says is believed where
        it says the same twice. Else only one offset is given up: what is behind it comes again.
        """
        begin, end = self.next_fetch_offset, self._fetched.end
        last = begin
        header = BatchHeader.of(frame.raw) if frame.magic == _FORMAT else None
        if begin < behind <= end:
            last = behind - 1
        elif header is not None and header.records == header.last_offset_delta + 1:
            is_here = header.base_offset <= begin <= header.last_offset < end
            last = header.last_offset if is_here else begin
        yield from self._whole_batch(frame, last, why)

    def _whole_batch(self, frame: Frame, last: int, why: str) -> Iterator[Any]:
        begin, self.next_fetch_offset = self.next_fetch_offset, last + 1
        yield self._unreadable(unreadable(last, frame.raw, why), begin)

    def _is_hidden(self, header: BatchHeader) -> bool:
        """Whether nobody is to see the batch: Kafka's own marks, and what was taken back."""
        if self._fetched.aborted is not None:
            self._learn_of_aborts(header)
            if header.is_transactional and header.producer_id in self._aborting:
                return True
        return header.is_control

    def _learn_of_aborts(self, header: BatchHeader) -> None:
        while self._aborted and self._aborted[0][1] <= header.base_offset:
            self._aborting.add(self._aborted.pop(0)[0])
        if header.is_control:
            # Its mark: what is taken back ends here.
            self._aborting.discard(header.producer_id)

    def _record(self, record: Any) -> Any:
        """aiokafka's record, for one of aiokafka's reader or of ours."""
        if isinstance(record, Entry) and record.why is not None:
            return self._unreadable(record, record.offset)
        topic, partition = self._fetched.place
        key, value = record.key, record.value
        kind: Any = record.timestamp_type
        headers: Any = tuple(record.headers)
        return ConsumerRecord(
            topic,
            partition,
            record.offset,
            record.timestamp,
            kind,
            key,
            value,
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            headers,
        )

    def _unreadable(self, entry: Entry, begin: int) -> UnreadableRecord:
        topic, partition = self._fetched.place
        if begin < entry.offset:
            what = f"the batch of offsets {begin} to {entry.offset} of {topic}-{partition}"
        else:
            what = f"the record at offset {entry.offset} of {topic}-{partition}"
        key, value = entry.key, entry.value
        return UnreadableRecord(
            topic,
            partition,
            entry.offset,
            entry.timestamp,
            entry.timestamp_type or 0,
            key,
            value,
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple((name, text or b"") for name, text in entry.headers),
            why=f"{what} cannot be read: it {entry.why}",
            bytes_of=entry.bytes_of,
        )
