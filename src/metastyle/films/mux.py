"""Joins a film's segments with the sound, subtitles, attachments, chapters and tags of its clip.

Nothing is encoded here: packets are copied.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason, replacing
from metastyle.films.clip import Clip
from metastyle.films.decode import opened, plain_name
from metastyle.films.encode import CODECS, CONTAINERS, Encoding, Segment
from metastyle.films.sound import HealthCheck, TimedPackets, add_copies, copied_packets
from metastyle.films.tags import Tags, film_tags


@dataclass(frozen=True)
class SegmentFile:
    """A segment of a film and the file that holds it."""

    path: Path
    segment: Segment


def join(
    segments: Sequence[SegmentFile],
    clip: Clip,
    output: Path,
    encoding: Encoding,
    *,
    overwrite: bool,
    begin: int | None = None,
    end: int | None = None,
) -> list[str]:
    """Write the film, completely or not at all.

    Args:
        segments: in order, at least one.
        begin: time stamp that becomes the film's beginning; None keeps the clip's.
        end: time stamp at which sound and subtitles are cut; None keeps them whole.

    Returns:
        A line for everything that the film lacks of the clip.

    Raises:
        MetastyleError: the file cannot be written; OSError: a segment cannot be read.
    """
    container_name = CONTAINERS[output.suffix.lower()][0]
    options = {"movflags": "+faststart"} if container_name in ("mp4", "mov") else {}
    zero = begin * clip.time_base if begin is not None else clip.origin
    limit = end * clip.time_base if end is not None else None
    try:
        with (
            replacing(output, overwrite=overwrite) as stream,
            opened(clip.path) as clip_file,
            av.open(plain_name(Path(stream.name)), "w", format=container_name, options=options) as film,
        ):

            def accepted(tags: Tags) -> bool:
                return _takes(container_name, segments[0], clip, encoding, tags)

            tags, notes = film_tags(clip_file, clip, accepted, cut=begin is not None)
            pictures = _add_pictures(film, segments[0], clip, encoding, tags)
            copies = add_copies(film, clip_file, clip, container_name, output.suffix, notes)
            _copy_chapters(clip_file, film, zero, limit)
            film.start_encoding()
            health = HealthCheck(container_name, clip_file, copies)
            _interleave(
                film,
                _picture_packets(segments, clip, zero, pictures),
                health.passed(copied_packets(clip_file, copies, zero, limit, seek=begin is not None)),
            )
    except FFmpegError as error:  # not OSError, which ``replacing`` explains
        raise MetastyleError(f"{one_line(output)} cannot be joined: {reason(error)}") from error
    if health.failed:
        notes.append(f"{health.failed} damaged packets of sound or subtitles are left out")
    return notes


def _add_pictures(
    film: OutputContainer, first: SegmentFile, clip: Clip, encoding: Encoding, tags: Tags
) -> Any:
    """The film's video stream, with the tags of both."""
    with opened(first.path, ignore_editlist="1") as segment_file:
        pictures: Any = film.add_stream_from_template(segment_file.streams.video[0], opaque=True)
    pictures.time_base = clip.time_base
    film.metadata.update(tags.of_file)
    pictures.metadata.update(tags.of_pictures)
    tag = CODECS[encoding.codec].tag
    if film.format.name in ("mp4", "mov"):
        if tag:
            pictures.codec_context.codec_tag = tag
        if tags.have_time_code:  # which counts frames
            pictures.codec_context.framerate = clip.rate
    return pictures


def _takes(container_name: str, first: SegmentFile, clip: Clip, encoding: Encoding, tags: Tags) -> bool:
    """Whether a film of this kind can have the tags."""
    try:
        with av.open(os.devnull, "w", format=container_name) as trial:
            _add_pictures(trial, first, clip, encoding, tags)
            trial.start_encoding()
    except (FFmpegError, ValueError):
        return False
    return True


def _picture_packets(
    segments: Sequence[SegmentFile], clip: Clip, zero: Fraction, stream: Any
) -> TimedPackets:
    """The segments' packets in decoding order.

    Segments were encoded independently, so their decoding times may overlap. They are recomputed for the
    whole film: a packet is decoded when the frame ``delay`` positions earlier is shown.
    """
    delay = max(file.segment.delay for file in segments)
    time_base = clip.time_base
    spacing = max(1, round(1 / (clip.rate * time_base)))
    decoded_at = [segments[0].segment.first - spacing * places for places in range(delay, 0, -1)]
    extradata: bytes | None = None
    followers = [file.segment.first for file in segments[1:]] + [segments[-1].segment.end]
    for number, (file, follower) in enumerate(zip(segments, followers, strict=True)):
        with opened(file.path, ignore_editlist="1") as container:
            video = container.streams.video[0]
            packets: list[Any] = [packet for packet in container.demux(video) if packet.size]
            if number == 0:
                extradata = video.codec_context.extradata
            if len(packets) != file.segment.frames or video.codec_context.extradata != extradata:
                raise MetastyleError(f"{one_line(file.path)} is damaged: delete its folder and start again")
            ticks = [round(packet.pts * packet.time_base / time_base) for packet in packets]
            earliest = min(ticks)
            ticks = [tick - earliest + file.segment.first for tick in ticks]
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


def _interleave(film: OutputContainer, pictures: TimedPackets, copies: TimedPackets) -> None:
    """Write both in order of time."""
    picture = next(pictures, None)
    for at, packet in copies:
        while picture is not None and picture[0] <= at:
            film.mux(picture[1])
            picture = next(pictures, None)
        film.mux(packet)
    while picture is not None:
        film.mux(picture[1])
        picture = next(pictures, None)


def _copy_chapters(
    clip_file: InputContainer, film: OutputContainer, zero: Fraction, limit: Fraction | None
) -> None:
    kept = []
    for chapter in clip_file.chapters():
        unit = chapter["time_base"]
        if unit is None:
            continue
        start, end = chapter["start"] * unit - zero, chapter["end"] * unit - zero
        if end <= 0 or (limit is not None and start >= limit - zero):
            continue
        start, end = max(start, Fraction()), end if limit is None else min(end, limit - zero)
        kept.append(chapter | {"start": round(start / unit), "end": round(end / unit)})
    if kept:
        film.set_chapters(kept)
