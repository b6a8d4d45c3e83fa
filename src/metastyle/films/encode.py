"""Encodes frames into segments of a film, which begin with a key frame and can be decoded independently."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np
import torch
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from metastyle.errors import MetastyleError
from metastyle.files import one_line
from metastyle.films.clip import Clip, Colors, Pixels
from metastyle.films.decode import plain_name
from metastyle.films.frames import SCALING


@dataclass(frozen=True)
class Codec:
    """An encoder and its options."""

    encoder: str
    quality: int
    """Default constant rate factor: lower is better and larger."""
    worst: int
    options: Mapping[str, str]
    tag: str | None = None
    """Name of the codec in MP4 and QuickTime, if FFmpeg's choice does not play everywhere."""


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "h264": Codec("libx264", 18, 51, {"preset": "medium"}),
        "hevc": Codec("libx265", 22, 51, {"preset": "fast", "x265-params": "log-level=none"}, "hvc1"),
        "vp9": Codec("libvpx-vp9", 30, 63, {"b:v": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
        "av1": Codec("libsvtav1", 28, 63, {"preset": "8", "chroma_sample_location": "left"}),
    }
)
"""Codecs by the names that users know."""

CONTAINERS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        ".mp4": ("mp4", ("h264", "hevc", "vp9", "av1")),
        ".m4v": ("mp4", ("h264", "hevc")),
        ".mov": ("mov", ("h264", "hevc")),
        ".mkv": ("matroska", ("h264", "hevc", "vp9", "av1")),
        ".webm": ("webm", ("vp9", "av1")),
    }
)
"""For each extension, FFmpeg's name of the container and the supported codecs, the default first."""


@dataclass(frozen=True)
class Encoding:
    """Codec and quality of a film."""

    codec: str = "h264"
    quality: int | None = None
    """Constant rate factor, 1 to 51 (h264, hevc) or 63 (vp9, av1); None takes the codec's default."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise MetastyleError(f"codec '{self.codec}' is unknown: use one of {', '.join(CODECS)}")
        worst = CODECS[self.codec].worst
        if self.quality is not None and not 1 <= self.quality <= worst:
            raise MetastyleError(
                f"quality is {self.quality}: use 1 (best, largest) to {worst} for {self.codec}"
            )


def choose_encoding(output: Path, codec: str | None, quality: int | None) -> Encoding:
    """The encoding for a file of this extension.

    Raises:
        MetastyleError: films do not have this extension, its container does not support ``codec``, or
            this FFmpeg has no encoder for it.
    """
    name = one_line(output)
    if output.suffix.lower() not in CONTAINERS:
        asked = f"'{output.suffix}'" if output.suffix else "a name without extension"
        raise MetastyleError(
            f"{name}: films cannot be written as {asked}: use one of {', '.join(CONTAINERS)}"
        )
    takes = CONTAINERS[output.suffix.lower()][1]
    encoding = Encoding(codec or takes[0], quality)
    if encoding.codec not in takes:
        raise MetastyleError(
            f"{name}: {output.suffix} cannot hold {encoding.codec}: use {' or '.join(takes)},"
            " or an .mkv, which holds all codecs"
        )
    encoder = CODECS[encoding.codec].encoder
    try:
        av.Codec(encoder, "w")
    except (FFmpegError, ValueError):
        raise MetastyleError(f"this FFmpeg cannot encode {encoding.codec}: it lacks {encoder}") from None
    return encoding


@dataclass(frozen=True)
class FilmFormat:
    """The format that all segments of a film share."""

    width: int
    height: int
    """Size of the encoded frame; even, because 4:2:0 has one color for two by two pixels."""
    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction
    colors: Colors

    @classmethod
    def of(cls, clip: Clip, long_edge: int | None) -> FilmFormat:
        """The format of a film made from ``clip``; the last row or column of an odd side is dropped."""
        width, height = clip.scaled(long_edge)
        return cls(
            width - width % 2, height - height % 2, clip.time_base, clip.rate, clip.pixel_aspect, clip.colors
        )


@dataclass(frozen=True)
class Segment:
    """A finished segment of a film; time stamps are in the clip's ticks."""

    frames: int
    first: int
    last: int
    end: int
    """End of the last frame."""
    delay: int
    """Number of frames by which decoding is ahead of display."""


class SegmentWriter:
    """Encodes frames into the file ``path``, always an MP4, whose time stamps are exact."""

    def __init__(self, path: Path, film_format: FilmFormat, encoding: Encoding) -> None:
        self._format = film_format
        self._path = path
        self._convert = VideoReformatter()
        self._shown: list[int] = []
        self._packets: list[Any] = []
        self._end = 0
        codec = CODECS[encoding.codec]
        if codec.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only
        crf = encoding.quality if encoding.quality is not None else codec.quality
        self._container = av.open(plain_name(path), "w", format="mp4")
        stream: Any = self._container.add_stream(
            codec.encoder,
            rate=film_format.rate,
            options={**codec.options, **_repeatable(codec), "crf": str(crf)},
        )
        stream.width, stream.height, stream.pix_fmt = film_format.width, film_format.height, "yuv420p"
        context = stream.codec_context
        context.time_base = film_format.time_base
        context.sample_aspect_ratio = film_format.pixel_aspect
        context.colorspace = film_format.colors.matrix
        context.color_primaries = film_format.colors.primaries
        context.color_trc = film_format.colors.transfer
        context.color_range = ColorRange.JPEG if film_format.colors.full_range else ColorRange.MPEG
        if codec.tag:
            context.codec_tag = codec.tag
        self._stream = stream
        try:
            self._container.start_encoding()
        except (FFmpegError, ValueError) as error:
            self._container.close()
            raise MetastyleError(
                f"frames of {film_format.width}x{film_format.height} cannot be encoded as {encoding.codec}"
                f" ({one_line(error)}): use another size or codec"
            ) from None

    def add(self, pixels: Pixels, pts: int, duration: int) -> None:
        """Append a frame, (H, W, 3) uint8, full range; it is cropped to the film's size."""
        film_format = self._format
        frame = self._subsampled(pixels[: film_format.height, : film_format.width])
        if not self._shown:
            self._first = pts
        frame.pts, frame.duration, frame.time_base = pts - self._first, duration, film_format.time_base
        self._shown.append(pts)
        self._end = pts + duration
        self._packets += self._stream.encode(frame)

    def close(self) -> Segment:
        """Finish the file and sync it to the disk."""
        try:
            self._packets += self._stream.encode(None)
            coded = [packet.pts for packet in self._packets]
            delay = _delay(coded)
            for packet, dts in zip(self._packets, decoding_times(sorted(coded), delay), strict=False):
                packet.dts = dts  # the encoder's own are unusable for very few frames
                self._container.mux(packet)
        finally:
            self._container.close()
        with self._path.open("rb+") as stream:
            os.fsync(stream.fileno())
        return Segment(
            frames=len(self._shown),
            first=self._shown[0],
            last=self._shown[-1],
            end=self._end,
            delay=delay,
        )

    def abandon(self) -> None:
        """Close without finishing; the file is unusable."""
        with suppress(FFmpegError, ValueError):
            self._container.close()
        self._path.unlink(missing_ok=True)

    def _subsampled(self, pixels: Pixels) -> VideoFrame:
        """RGB -> 4:2:0, with chroma sited at the left of each two by two pixels, where decoders expect it.

        libswscale would put it at the center, which cannot be changed through PyAV.
        """
        colors = self._format.colors
        full = self._convert.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24"),
            format="yuv444p",
            src_colorspace=colors.swscale_matrix,
            dst_colorspace=colors.swscale_matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if colors.full_range else ColorRange.MPEG,
            interpolation=SCALING,
            threads=1,
        )
        light, blue, red = full.to_ndarray()
        planes = (light, _halved(blue), _halved(red))
        flat = np.concatenate([plane.ravel() for plane in planes]).astype(np.uint8, copy=False)
        return VideoFrame.from_ndarray(flat.reshape(-1, light.shape[1]), "yuv420p")


def _repeatable(codec: Codec) -> dict[str, str]:
    """Options that make an encoder give the same bytes for the same frames.

    Only libx264 (core 165) with AVX-512 needs any: its macroblock-tree results differ from run to run. With
    AVX2, which such processors also have, they do not; measured on 12 runs each.
    """
    if codec.encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
        return {"x264-params": "asm=AVX2"}
    return {}


def _halved(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) -> (H/2, W/2): means of two rows, and 1-2-1 filtered around every even column."""
    rows = plane[0::2].astype(np.uint16) + plane[1::2]
    even, odd = rows[:, 0::2], rows[:, 1::2]
    total = 2 * even + odd + 4
    total[:, 1:] += odd[:, :-1]
    total[:, 0] += even[:, 0]
    halved: NDArray[np.uint8] = (total >> 3).astype(np.uint8)
    return halved


def decoding_times(shown: Sequence[int], delay: int) -> list[int]:
    """Decoding times of packets, in order of decoding: the first ``delay`` ones precede the first display."""
    spacing = max(1, shown[-1] - shown[-2]) if len(shown) > 1 else 1
    return [shown[0] - spacing * places for places in range(delay, 0, -1)] + list(shown)


def _delay(coded: list[int]) -> int:
    """The smallest number of frames by which decoding must be ahead, for time stamps in decoding order."""
    rank = {pts: place for place, pts in enumerate(sorted(coded))}
    return max(place - rank[pts] for place, pts in enumerate(coded))
