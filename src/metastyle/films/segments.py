"""The finished segments of a film: a folder next to it, from which an interrupted job resumes.

``job.json`` identifies the film and its clip. ``parts.jsonl`` has a line for every finished segment, which is
written after the segment itself is on the disk, so that a killed process only loses the segment it was
working on. The names in the folder are those of earlier versions, whose films can be resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from metastyle.errors import ExistsError, MetastyleError
from metastyle.files import one_line
from metastyle.films.encode import Segment
from metastyle.films.mux import SegmentFile
from metastyle.locks import CLAIM

_BLOCKS, _BLOCK = 64, 65536
_JOB, _NEW = "job.json", ".new"
_EARLY = (CLAIM, _JOB + _NEW)
"""Names that may be in the folder before the job is recorded."""


@dataclass(frozen=True)
class FinishedSegment:
    """A line of ``parts.jsonl``."""

    segment: Segment
    size: int
    """Size of its file in bytes."""
    checksum: int
    """CRC-32 of the clip's last frame in this segment, before it was painted."""
    undecodable: int
    misplaced: int
    """Damage of the clip up to there."""
    has_state: bool
    """Whether the painter depends on earlier frames."""
    state_checksum: int | None = None
    seal: int | None = None
    """CRC-32 of the painter's state, and of the segment's file and this entry; None in films that earlier
    versions began."""

    def line(self) -> bytes:
        """This entry as JSON."""
        fields = asdict(self)
        names = {"piece": fields.pop("segment"), "bytes": fields.pop("size")}
        return json.dumps(names | fields).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The entry in a line; ValueError, TypeError or KeyError if the line is incomplete."""
        fields = json.loads(line)
        return cls(Segment(**fields.pop("piece")), fields.pop("bytes"), **fields)

    def sealed(self, file: Path) -> Self:
        """This entry with its seal."""
        unsealed = replace(self, seal=None)
        return replace(self, seal=zlib.crc32(unsealed.line(), _checksum(file)))

    def describes(self, file: Path) -> bool:
        """Whether the segment is in ``file``, and neither it nor this entry is damaged."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        return self.seal is None or self.sealed(file) == self


class Segments:
    """The folder of a job: found and checked, or made by ``begin``.

    identity: what must be equal to resume a job, as JSON values.
    fresh: whether segments of another job may be discarded.

    Raises:
        MetastyleError: the folder holds another job's segments, or cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.folder = folder
        self._identity = json.loads(json.dumps(identity))
        self._kept: dict[str, Any] = {}
        self.finished: list[FinishedSegment] = []
        try:
            found = self._read_job()
            if found is not None and found["identity"] != self._identity:
                if not fresh:
                    raise ExistsError(self._difference(found["identity"]))
                _empty(folder)
            elif found is not None:
                self._kept = found["kept"]
                self.finished = self._read_finished()
        except OSError as error:
            raise MetastyleError(f"{one_line(folder)} cannot be used: {one_line(error.strerror)}") from None

    def begin(self) -> None:
        """Make the folder, before the first segment.

        Raises:
            OSError: it cannot be written.
        """
        self.folder.mkdir(exist_ok=True)
        self._write_job()

    @property
    def current(self) -> Path:
        """The file of the segment that is being made."""
        return self.folder / "current.mp4"

    def path(self, number: int) -> Path:
        """The file of a finished segment."""
        return self.folder / f"{number:06}.mp4"

    def all(self) -> list[SegmentFile]:
        """The finished segments, in order."""
        return [SegmentFile(self.path(n), finished.segment) for n, finished in enumerate(self.finished)]

    def keep(self, name: str, value: Any) -> Any:
        """The value kept under ``name`` since the job began; if there is none, ``value`` is kept."""
        if name not in self._kept:
            self._kept[name] = value
            if self.folder.is_dir():
                self._write_job()
        return self._kept[name]

    def add(self, segment: Segment, *, checksum: int, undecodable: int, misplaced: int, state: bytes) -> None:
        """Record that the current segment is finished; ``state`` is the painter's state after it."""
        number = len(self.finished)
        size = self.current.stat().st_size
        self.current.replace(self.path(number))
        if state:
            self._write(self._state_path(number), state)
        finished = FinishedSegment(
            segment, size, checksum, undecodable, misplaced, bool(state), zlib.crc32(state)
        ).sealed(self.path(number))
        with (self.folder / "parts.jsonl").open("ab") as stream:
            # A line that a crash has cut off gets a line break, so that it is ignored alone.
            start = b"\n" if stream.tell() and not self._ends_with_newline() else b""
            stream.write(start + finished.line())
            stream.flush()
            os.fsync(stream.fileno())
        self.finished.append(finished)
        if number > 1:
            self._state_path(number - 2).unlink(missing_ok=True)  # keeps one more than needed

    def state(self) -> bytes:
        """The painter's state after the last finished segment."""
        return self._state_path(len(self.finished) - 1).read_bytes() if self.finished[-1].has_state else b""

    def remove(self) -> None:
        """Delete the folder: the film is finished."""
        with suppress(OSError):
            _empty(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state_path(self, number: int) -> Path:
        return self.folder / f"{number:06}.state"

    def _ends_with_newline(self) -> bool:
        return (self.folder / "parts.jsonl").read_bytes().endswith(b"\n")

    def _read_job(self) -> dict[str, Any] | None:
        path = self.folder / _JOB
        try:
            job = json.loads(path.read_bytes())
        except FileNotFoundError:
            if self.folder.is_dir() and any(path.name not in _EARLY for path in self.folder.iterdir()):
                raise MetastyleError(
                    f"{one_line(self.folder)} exists and is not a folder of unfinished work:"
                    " move it, or choose another name"
                ) from None
            return None
        except (ValueError, RecursionError):
            raise MetastyleError(f"{one_line(path)} is damaged: delete its folder and start again") from None
        if not (isinstance(job, dict) and all(isinstance(job.get(n), dict) for n in ("identity", "kept"))):
            raise MetastyleError(f"{one_line(path)} is not a job of this program: move its folder away")
        return job

    def _write_job(self) -> None:
        job = {"identity": self._identity, "kept": self._kept}
        self._write(self.folder / _JOB, json.dumps(job, indent=1).encode())

    def _write(self, path: Path, content: bytes) -> None:
        beside = path.with_name(path.name + _NEW)
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)

    def _read_finished(self) -> list[FinishedSegment]:
        """The finished segments, up to the first whose file does not match its line."""
        try:
            lines = (self.folder / "parts.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        finished: list[FinishedSegment] = []
        for line in lines:
            try:
                entry = FinishedSegment.from_line(line)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
            if not entry.describes(self.path(len(finished))):
                break
            finished.append(entry)
        while finished and not self._has_its_state(len(finished) - 1, finished[-1]):
            finished.pop()  # a painter cannot resume from a segment without its state
        if len(finished) < len(lines):
            self._write(self.folder / "parts.jsonl", b"".join(entry.line() for entry in finished))
        return finished

    def _has_its_state(self, number: int, finished: FinishedSegment) -> bool:
        if not finished.has_state:
            return True
        path = self._state_path(number)
        return path.is_file() and finished.state_checksum in (None, _checksum(path))

    def _difference(self, other: dict[str, Any]) -> str:
        missing = object()  # a value may be None
        names = {**self._identity, **other}
        name = next(n for n in names if self._identity.get(n, missing) != other.get(n, missing))
        was, now = (one_line(identity.get(name)) for identity in (other, self._identity))
        return (
            f"{one_line(self.folder)} holds an unfinished film with another {one_line(name)} (it was {was},"
            f" now it is {now}), which the same value resumes"
        )


def _checksum(path: Path) -> int:
    """The CRC-32 of a file."""
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def segments_folder(output: Path) -> Path:
    """The folder for the unfinished work on ``output``."""
    return output.with_name(output.name + ".parts")


def _empty(folder: Path) -> None:
    """Remove everything except the claim of the current run.

    ``job.json`` is last: without it, what a killed process left would be taken for another program's.
    """
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _JOB):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != CLAIM:
            path.unlink()
    with suppress(OSError):  # not empty: it is claimed
        folder.rmdir()


def fingerprint(path: Path) -> str:
    """A digest of a file's size and 64 samples of it, enough to detect another film of the same name."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as stream:
        for block in range(_BLOCKS):
            stream.seek(max(0, size - _BLOCK) * block // (_BLOCKS - 1))
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()
