"""Decodes the frames of a film file, skipping damaged parts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heapify, heappush
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from metastyle.errors import MetastyleError
from metastyle.files import one_line

_DECODER_THREADS = 4


@dataclass
class Damage:
    """What was found to be damaged or missing while a clip's frames were read."""

    packets: int = 0
    """Frames read since the beginning, or since a jump."""
    undecodable: int = 0
    misplaced: int = 0
    ends: str | None = None

    def sentence(self, path: Path) -> str | None:
        """One line for people, or None if nothing is damaged."""
        facts = [f"{self.undecodable} packets cannot be decoded"] if self.undecodable else []
        facts += [f"{self.misplaced} frames have impossible time stamps"] if self.misplaced else []
        facts += [self.ends] if self.ends else []
        return f"{one_line(path)} is damaged or truncated: {', '.join(facts)}" if facts else None


def plain_name(path: Path) -> str:
    """A name that FFmpeg takes as a file name: ``clip:1.mp4`` would be a protocol."""
    return os.path.abspath(path)  # noqa: PTH100 (the text is wanted)


@contextmanager
def opened(path: Path, **options: str) -> Iterator[InputContainer]:
    """Open a file as a container, without following playlists to other places.

    Raises:
        MetastyleError: it cannot be opened.
    """
    name = one_line(path)
    try:
        if path.is_file() and not path.stat().st_size:
            raise MetastyleError(f"{name} is empty")
        container = av.open(
            plain_name(path),
            "r",
            options={"protocol_whitelist": "file"} | options,
            metadata_errors="replace",
        )
    except (FFmpegError, OSError, ValueError) as error:
        raise MetastyleError(f"{name}: cannot be read as a film: {_why(error)}") from None
    with container:
        yield container


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return "it is none, or damaged, or truncated"


def decoded(
    container: InputContainer,
    stream: Any,
    damage: Damage,
    seek_to: int | None = None,
    times: list[int] | None = None,
) -> Iterator[VideoFrame]:
    """Every frame that can be decoded; damage is counted and skipped, as in players.

    times: is kept as a heap of the time stamps of those packets whose frames are still to come.
    """
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(_DECODER_THREADS, os.cpu_count() or 1)
    if seek_to is not None:
        container.seek(seek_to, stream=stream)
    packets = container.demux(stream)
    reading = True
    while reading:
        try:
            packet = next(packets, None)
        except (FFmpegError, ValueError):
            damage.undecodable += 1
            packet = None
        # The decoder still holds frames when the file ends; an empty packet asks for them.
        reading = packet is not None and packet.size > 0
        damage.packets += reading
        at = None if packet is None else packet.dts if packet.dts is not None else packet.pts
        if times is not None and at is not None:
            heappush(times, at)
        try:
            yield from stream.codec_context.decode(packet if reading else None)
        except av.EOFError:
            return
        except (FFmpegError, ValueError):
            damage.undecodable += 1
            if times is not None and at in times:
                times.remove(at)
                heapify(times)
