"""Pieces of film become one film, with the sound, subtitles, chapters and tags of the clip they came from.

Nothing is encoded here: packets are copied.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition

from metastyle.errors import MetastyleError
from metastyle.media.encoding import one_line, replacing
from metastyle.media.video import Clip
from metastyle.media.video_decoding import opened
from metastyle.media.video_encoding import CODECS, CONTAINERS, Encoding, Piece

_OF_THE_OLD_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_OLD_STREAM = {"encoder", "duration", "number_of_frames", "number_of_bytes", "bps"}
_SEEK_MARGIN = 10.0  # seconds between a jump's target and what is wanted


@dataclass(frozen=True)
class Part:
    """A piece of film and the file that it lies in."""

    path: Path
    piece: Piece


def join(
    parts: Sequence[Part],
    clip: Clip,
    output: Path,
    encoding: Encoding,
    *,
    overwrite: bool,
    begin: int | None = None,
    end: int | None = None,
) -> list[str]:
    """Write the film; it is complete, or it is not there at all.

    Args:
        parts: in order, at least one.
        begin: time stamp that becomes the film's zero; None keeps the clip's beginning.
        end: time stamp at which sound and subtitles are cut; None keeps them whole.

    Returns:
        What of the clip the film does not hold: a line for each.

    Raises:
        MetastyleError: the file cannot be written; OSError: a part cannot be read.
    """
    container_name = CONTAINERS[output.suffix.lower()][0]
    options = {"movflags": "+faststart"} if container_name in ("mp4", "mov") else {}
    notes: list[str] = []
    zero = begin * clip.time_base if begin is not None else clip.origin
    limit = end * clip.time_base if end is not None else None
    with (
        replacing(output, overwrite=overwrite) as stream,
        opened(clip.path) as source,
        av.open(stream.name, "w", format=container_name, options=options) as film,
    ):
        _copy_tags(source, clip, film)
        with opened(parts[0].path, ignore_editlist="1") as first:
            pictures: Any = film.add_stream_from_template(first.streams.video[0], opaque=True)
        pictures.time_base = clip.time_base
        pictures.metadata.update(_kept(source.streams[clip.index].metadata, _OF_THE_OLD_STREAM))
        tag = CODECS[encoding.codec].tag
        if tag and container_name in ("mp4", "mov"):
            pictures.codec_context.codec_tag = tag
        copies = _copied_streams(source, clip, film, container_name, output.suffix, notes)
        _copy_chapters(source, film, zero, limit)
        film.start_encoding()
        lost = _interleave(
            film,
            _picture_packets(parts, clip.time_base, zero, pictures),
            _copied_packets(source, clip, copies, zero, limit, seek=begin is not None),
        )
    if lost:
        notes.append(f"{lost} damaged packets of sound or subtitles are left out")
    return notes


def holds_sound_of(clip: Clip, suffix: str) -> bool:
    """Whether a container of this extension takes the clip's sound and subtitles as they are."""
    with opened(clip.path) as source:
        return all(
            _can_hold(CONTAINERS[suffix][0], stream)
            for stream in source.streams
            if stream.type in ("audio", "subtitle")
        )


def _picture_packets(
    parts: Sequence[Part], time_base: Fraction, zero: Fraction, stream: Any
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Packets in order of decoding, with the time in seconds at which each is decoded.

    Every piece was encoded for itself, with decoding times that may overlap those of its neighbours. They
    are made anew for the whole: a packet is decoded when the frame ``delay`` places earlier is shown.
    """
    delay = max(part.piece.delay for part in parts)
    first = parts[0].piece
    step = max(1, (first.end - first.first) // first.frames)
    decoded_at = [first.first - step * places for places in range(delay, 0, -1)]
    extradata: bytes | None = None
    followers = [part.piece.first for part in parts[1:]] + [parts[-1].piece.end]
    for number, (part, follower) in enumerate(zip(parts, followers, strict=True)):
        with opened(part.path, ignore_editlist="1") as container:
            source = container.streams.video[0]
            packets: list[Any] = [packet for packet in container.demux(source) if packet.size]
            if number == 0:
                extradata = source.codec_context.extradata
            if len(packets) != part.piece.frames or source.codec_context.extradata != extradata:
                raise MetastyleError(f"{one_line(part.path)} is damaged: delete its folder and begin again")
            ticks = [round(packet.pts * packet.time_base / time_base) for packet in packets]
            earliest = min(ticks)
            ticks = [tick - earliest + part.piece.first for tick in ticks]
            shown = sorted(ticks)
            durations = dict(zip(shown, (b - a for a, b in pairwise([*shown, follower])), strict=True))
            decoded_at += shown
            for packet, pts in zip(packets, ticks, strict=True):
                dts = decoded_at.pop(0)
                offset = round(zero / time_base)
                packet.stream = stream
                packet.time_base = time_base
                packet.pts, packet.dts, packet.duration = pts - offset, dts - offset, durations[pts]
                yield (dts - offset) * time_base, packet


def _copied_packets(
    source: InputContainer,
    clip: Clip,
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
            source.seek(int(max(0.0, float(zero) - _SEEK_MARGIN) * 1e6))
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
        if seek and seconds < zero:
            continue
        dts = packet.dts if packet.dts is not None else pts
        if dts < last.get(packet.stream_index, dts):
            continue  # time runs backwards: no container holds that
        last[packet.stream_index] = dts
        offset = round(zero / packet.time_base)
        packet.pts, packet.dts = pts - offset, dts - offset
        decoded_at = (dts - offset) * packet.time_base
        packet.stream = copies[packet.stream_index]
        yield decoded_at, packet


def _interleave(
    film: OutputContainer,
    pictures: Iterator[tuple[Fraction, Packet[Any]]],
    copies: Iterator[tuple[Fraction, Packet[Any]]],
) -> int:
    """Write both in the order of time; the number of copied packets that could not be written."""
    lost = 0
    waiting = next(pictures, None)
    for at, packet in copies:
        while waiting is not None and waiting[0] <= at:
            film.mux(waiting[1])
            waiting = next(pictures, None)
        try:
            film.mux(packet)
        except OSError:
            raise
        except (FFmpegError, ValueError):
            lost += 1
    while waiting is not None:
        film.mux(waiting[1])
        waiting = next(pictures, None)
    return lost


def _copied_streams(
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
            copy.metadata.update(_kept(stream.metadata, _OF_THE_OLD_STREAM))
            copy.disposition = stream.disposition
            if stream.type != "attachment":
                copies[stream.index] = copy
    return copies


def _can_hold(container_name: str, stream: Any) -> bool:
    """Tried out, because FFmpeg's answer to the question is not always right."""
    try:
        with av.open(io.BytesIO(), "w", format=container_name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (FFmpegError, ValueError, TypeError, NotImplementedError):
        return False
    return True


def _called(stream: Any) -> str:
    kind = {"audio": "sound", "subtitle": "the subtitles", "video": "a second video"}.get(
        stream.type, stream.type
    )
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        kind = "the cover picture"
    codec = stream.codec_context.name if stream.codec_context is not None else "of an unknown kind"
    return f"stream {stream.index} ({kind}, {codec})"


def _copy_tags(source: InputContainer, clip: Clip, film: OutputContainer) -> None:
    film.metadata.update(_kept(source.metadata, _OF_THE_OLD_FILE))


def _copy_chapters(
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


def _kept(tags: dict[str, str], dropped: set[str]) -> dict[str, str]:
    return {name: text for name, text in tags.items() if name.lower().split("-")[0] not in dropped}
