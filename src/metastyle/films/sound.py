"""The sound, subtitles and attachments of a clip, copied as far as the film's container can hold them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition

from metastyle.errors import MetastyleError
from metastyle.films.clip import Clip
from metastyle.films.decode import opened
from metastyle.films.encode import CONTAINERS
from metastyle.films.tags import TIME_CODE, stream_tags

_SEEK_MARGIN = 10.0  # seconds between a seek target and the wanted position
_TRIALS = 8  # failed packets after which a stream is given up

TimedPackets: TypeAlias = "Iterator[tuple[Fraction, Packet[Any]]]"
"""Packets with the second of the film at which each is decoded."""


def holds_sound_of(clip: Clip, suffix: str) -> bool:
    """Whether a container with this extension can hold the clip's sound and subtitles unchanged."""
    with opened(clip.path) as clip_file:
        return all(
            _can_hold(CONTAINERS[suffix][0], stream)
            for stream in clip_file.streams
            if stream.type in ("audio", "subtitle")
        )


def add_copies(
    film: OutputContainer,
    clip_file: InputContainer,
    clip: Clip,
    container_name: str,
    suffix: str,
    notes: list[str],
) -> dict[int, Any]:
    """The film's streams for those of the clip that it can hold, by the index in the clip."""
    copies: dict[int, Any] = {}
    for stream in clip_file.streams:
        if stream.index == clip.index or (stream.type == "data" and TIME_CODE in stream.metadata):
            continue  # a track of time codes is also a tag
        description = _described(stream)
        if stream.type not in ("audio", "subtitle", "attachment"):
            notes.append(f"{description} is left out")
        elif not _can_hold(container_name, stream):
            better = "" if suffix == ".mkv" or not _can_hold("matroska", stream) else "; .mkv can"
            notes.append(f"{description} is left out: {suffix} cannot hold it{better}")
        else:
            copy = film.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream_tags(stream.metadata))
            copy.disposition = stream.disposition
            if stream.type != "attachment":
                copies[stream.index] = copy
    return copies


def _described(stream: Any) -> str:
    kind = {"audio": "sound", "subtitle": "the subtitles", "video": "a second video"}.get(
        stream.type, stream.type
    )
    if stream.type == "video" and stream.frames == 1:
        kind = "a still picture"
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        kind = "the cover picture"
    codec = stream.codec_context.name if stream.codec_context is not None else "of an unknown kind"
    return f"stream {stream.index} ({kind}, {codec})"


def _can_hold(container_name: str, stream: Any) -> bool:
    """Tested with a stream's first packets, because FFmpeg's own answer is not always right."""
    taken: bool = stream.type != "audio"  # subtitles may begin hours later
    try:
        with (
            opened(Path(stream.container.name)) as clip_file,
            av.open(os.devnull, "w", format=container_name) as trial,
        ):
            copy = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            packets = clip_file.demux(clip_file.streams[stream.index]) if not taken else iter(())
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
    clip_file: InputContainer,
    copies: dict[int, Any],
    zero: Fraction,
    limit: Fraction | None,
    *,
    seek: bool,
) -> TimedPackets:
    """The clip's other packets, in order, shifted so that the film begins at ``zero``."""
    if not copies:
        return
    if seek:
        with suppress(FFmpegError):  # a few files can only be read from their beginning
            clip_file.seek(int((float(zero) - _SEEK_MARGIN) * 1e6))
    last: dict[int, int] = {}
    packets = clip_file.demux([clip_file.streams[index] for index in copies])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError, ValueError):
            return  # damage was reported when the frames were decoded
        pts = packet.pts if packet.pts is not None else packet.dts
        if not packet.size or pts is None or packet.time_base is None:
            continue
        seconds = pts * packet.time_base
        if limit is not None and seconds >= limit:
            if seconds > limit + Fraction(_SEEK_MARGIN):
                return
            continue
        if seconds < zero and (seek or clip_file.streams[packet.stream_index].type == "subtitle"):
            continue  # no sound or subtitles where no frame is shown
        dts = packet.dts if packet.dts is not None else pts
        if dts < last.get(packet.stream_index, dts):
            continue  # time runs backwards, which no container supports
        last[packet.stream_index] = dts
        offset = round(zero / packet.time_base)
        packet.pts, packet.dts = pts - offset, dts - offset
        yield (dts - offset) * packet.time_base, packet


class HealthCheck:
    """Finds damaged packets by writing all packets to the null device first.

    A damaged packet only fails when it leaves the muxer's queue. That is too late: the packets queued behind
    it, including pictures, would be lost. A container with one stream has no queue.
    """

    def __init__(self, container_name: str, clip_file: InputContainer, copies: dict[int, Any]) -> None:
        self.failed = 0
        self._copies = copies
        self._trials: dict[int, Any] = {}
        for index in copies:
            trial = av.open(os.devnull, "w", format=container_name)
            self._trials[index] = trial.add_stream_from_template(clip_file.streams[index], opaque=True)

    def passed(self, packets: TimedPackets) -> TimedPackets:
        """The healthy packets, ready to be written."""
        for at, packet in packets:
            index = packet.stream_index
            trial = self._trials[index]
            copy: Packet[Any] = Packet(bytes(packet))
            copy.time_base, copy.pts, copy.dts = packet.time_base, packet.pts, packet.dts
            copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, trial
            try:
                trial.container.mux(copy)
            except (FFmpegError, ValueError):
                self.failed += 1
                continue
            packet.stream = self._copies[index]
            yield at, packet
        for trial in self._trials.values():
            with suppress(FFmpegError, ValueError):
                trial.container.close()
