"""What a film takes over from its clip as it is: sound, subtitles, attachments, chapters and tags."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition

from metastyle.errors import MetastyleError
from metastyle.films.clip import Clip
from metastyle.films.decode import opened
from metastyle.films.encode import CONTAINERS

_OF_THE_OLD_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
OF_THE_OLD_STREAM = {"encoder", "duration", "number_of_frames", "number_of_bytes", "bps"}
_SEEK_MARGIN = 10.0  # seconds between a jump's target and what is wanted
_TRIALS = 8  # packets that may fail before a stream is given up


def holds_sound_of(clip: Clip, suffix: str) -> bool:
    """Whether a container of this extension takes the clip's sound and subtitles as they are."""
    with opened(clip.path) as source:
        return all(
            _can_hold(CONTAINERS[suffix][0], stream)
            for stream in source.streams
            if stream.type in ("audio", "subtitle")
        )


def copied_streams(
    source: InputContainer,
    clip: Clip,
    film: OutputContainer,
    container_name: str,
    suffix: str,
    notes: list[str],
) -> dict[int, Any]:
    """Streams of the film for those of the clip that it can hold, by the clip's index."""
    copies: dict[int, Any] = {}
    for stream in source.streams:
        if stream.index == clip.index:
            continue
        what = _called(stream)
        if stream.type not in ("audio", "subtitle", "attachment"):
            notes.append(f"{what} is left out")
        elif not _can_hold(container_name, stream):
            better = "" if suffix == ".mkv" or not _can_hold("matroska", stream) else "; .mkv can"
            notes.append(f"{what} is left out: {suffix} cannot hold it{better}")
        else:
            copy = film.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(kept_tags(stream.metadata, OF_THE_OLD_STREAM))
            copy.disposition = stream.disposition
            if stream.type != "attachment":
                copies[stream.index] = copy
    return copies


def _can_hold(container_name: str, stream: Any) -> bool:
    """Tried with a stream's first packets, because FFmpeg's answer to the question is not always right."""
    taken: bool = stream.type != "audio"  # subtitles may begin hours later
    try:
        with (
            opened(Path(stream.container.name)) as source,
            av.open(_Nowhere(), "w", format=container_name) as trial,
        ):
            copy = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            packets = source.demux(source.streams[stream.index]) if not taken else iter(())
            for packet in islice(packets, _TRIALS):
                if packet.size and not taken:
                    packet.stream = copy
                    with suppress(FFmpegError, ValueError):
                        trial.mux(packet)
                        taken = True
    except (MetastyleError, FFmpegError, ValueError, TypeError, NotImplementedError):
        return False
    return taken


def copied_packets(
    source: InputContainer,
    copies: dict[int, Any],
    zero: Fraction,
    limit: Fraction | None,
    *,
    seek: bool,
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """The clip's other packets, as they come, shifted so that ``zero`` is the film's beginning."""
    if not copies:
        return
    if seek:
        with suppress(FFmpegError):  # some files can only be read from their beginning
            source.seek(int((float(zero) - _SEEK_MARGIN) * 1e6))
    last: dict[int, int] = {}
    packets = source.demux([source.streams[index] for index in copies])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError, ValueError):
            return  # damage has been reported by whoever read the pictures
        pts = packet.pts if packet.pts is not None else packet.dts
        if not packet.size or pts is None or packet.time_base is None:
            continue
        seconds = pts * packet.time_base
        if limit is not None and seconds >= limit:
            if seconds > limit + Fraction(_SEEK_MARGIN):
                return
            continue
        if seconds < zero and (seek or source.streams[packet.stream_index].type == "subtitle"):
            continue  # where no picture is, nothing is heard or read
        dts = packet.dts if packet.dts is not None else pts
        if dts < last.get(packet.stream_index, dts):
            continue  # time runs backwards: no container holds that
        last[packet.stream_index] = dts
        offset = round(zero / packet.time_base)
        packet.pts, packet.dts = pts - offset, dts - offset
        decoded_at = (dts - offset) * packet.time_base
        yield decoded_at, packet


class Healthy:
    """Tells packets that a container takes from damaged ones, by writing them to nowhere first.

    A damaged packet fails only when it leaves the muxer's queue, which is too late: then packets that
    wait behind it are lost, pictures too. A container with one stream has no queue.
    """

    def __init__(self, container_name: str, source: InputContainer, copies: dict[int, Any]) -> None:
        self.lost = 0
        self._copies = copies
        self._trials: dict[int, Any] = {}
        for index in copies:
            trial = av.open(_Nowhere(), "w", format=container_name)
            self._trials[index] = trial.add_stream_from_template(source.streams[index], opaque=True)

    def among(
        self, packets: Iterator[tuple[Fraction, Packet[Any]]]
    ) -> Iterator[tuple[Fraction, Packet[Any]]]:
        """The healthy ones, ready to be written."""
        for at, packet in packets:
            index = packet.stream_index
            trial = self._trials[index]
            copy: Packet[Any] = Packet(bytes(packet))
            copy.time_base, copy.pts, copy.dts = packet.time_base, packet.pts, packet.dts
            copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, trial
            try:
                trial.container.mux(copy)
            except (FFmpegError, ValueError):
                self.lost += 1
                continue
            packet.stream = self._copies[index]
            yield at, packet
        for trial in self._trials.values():
            with suppress(FFmpegError, ValueError):
                trial.container.close()


class _Nowhere(io.RawIOBase):
    """A file that forgets everything but its size."""

    name = "nowhere"

    def __init__(self) -> None:
        self._at = self._size = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._at += len(data)
        self._size = max(self._size, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def _called(stream: Any) -> str:
    kind = {"audio": "sound", "subtitle": "the subtitles", "video": "a second video"}.get(
        stream.type, stream.type
    )
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        kind = "the cover picture"
    codec = stream.codec_context.name if stream.codec_context is not None else "of an unknown kind"
    return f"stream {stream.index} ({kind}, {codec})"


def copy_tags(source: InputContainer, clip: Clip, film: OutputContainer) -> None:
    film.metadata.update(kept_tags(source.metadata, _OF_THE_OLD_FILE))


def copy_chapters(
    source: InputContainer, film: OutputContainer, zero: Fraction, limit: Fraction | None
) -> None:
    kept = []
    for chapter in source.chapters():
        unit = chapter["time_base"]
        if unit is None:
            continue
        start, stop = chapter["start"] * unit - zero, chapter["end"] * unit - zero
        if stop <= 0 or (limit is not None and start >= limit - zero):
            continue
        start, stop = max(start, Fraction()), stop if limit is None else min(stop, limit - zero)
        kept.append(chapter | {"start": round(start / unit), "end": round(stop / unit)})
    if kept:
        film.set_chapters(kept)


def kept_tags(tags: dict[str, str], dropped: set[str]) -> dict[str, str]:
    return {name: text for name, text in tags.items() if name.lower().split("-")[0] not in dropped}
