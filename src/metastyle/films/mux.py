"""Pieces of film become one film, with the sound, subtitles, chapters and tags of the clip they came from.

Nothing is encoded here: packets are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason, replacing
from metastyle.films.carried_streams import (
    OF_THE_OLD_STREAM,
    Healthy,
    copied_packets,
    copied_streams,
    copy_chapters,
    copy_tags,
    kept_tags,
)
from metastyle.films.clip import Clip
from metastyle.films.decode import opened, plain_name
from metastyle.films.encode import CODECS, CONTAINERS, Encoding, Piece


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
    try:
        with (
            replacing(output, overwrite=overwrite) as stream,
            opened(clip.path) as source,
            av.open(plain_name(Path(stream.name)), "w", format=container_name, options=options) as film,
        ):
            copy_tags(source, clip, film)
            with opened(parts[0].path, ignore_editlist="1") as first:
                pictures: Any = film.add_stream_from_template(first.streams.video[0], opaque=True)
            pictures.time_base = clip.time_base
            pictures.metadata.update(kept_tags(source.streams[clip.index].metadata, OF_THE_OLD_STREAM))
            tag = CODECS[encoding.codec].tag
            if tag and container_name in ("mp4", "mov"):
                pictures.codec_context.codec_tag = tag
            copies = copied_streams(source, clip, film, container_name, output.suffix, notes)
            copy_chapters(source, film, zero, limit)
            film.start_encoding()
            healthy = Healthy(container_name, source, copies)
            _interleave(
                film,
                _picture_packets(parts, clip, zero, pictures),
                healthy.among(copied_packets(source, copies, zero, limit, seek=begin is not None)),
            )
    except FFmpegError as error:  # no OSError: that one ``replacing`` explains
        raise MetastyleError(f"{one_line(output)} cannot be joined: {reason(error)}") from error
    if healthy.lost:
        notes.append(f"{healthy.lost} damaged packets of sound or subtitles are left out")
    return notes


def _picture_packets(
    parts: Sequence[Part], clip: Clip, zero: Fraction, stream: Any
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Packets in order of decoding, with the time in seconds at which each is decoded.

    Every piece was encoded for itself, with decoding times that may overlap those of its neighbors. They
    are made anew for the whole: a packet is decoded when the frame ``delay`` places earlier is shown.
    """
    delay = max(part.piece.delay for part in parts)
    time_base = clip.time_base
    step = max(1, round(1 / (clip.rate * time_base)))
    decoded_at = [parts[0].piece.first - step * places for places in range(delay, 0, -1)]
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


def _interleave(
    film: OutputContainer,
    pictures: Iterator[tuple[Fraction, Packet[Any]]],
    copies: Iterator[tuple[Fraction, Packet[Any]]],
) -> None:
    """Write both in the order of time."""
    waiting = next(pictures, None)
    for at, packet in copies:
        while waiting is not None and waiting[0] <= at:
            film.mux(waiting[1])
            waiting = next(pictures, None)
        film.mux(packet)
    while waiting is not None:
        film.mux(waiting[1])
        waiting = next(pictures, None)
