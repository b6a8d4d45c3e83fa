"""Small films for tests, and functions that read and change them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from metastyle.films import temporal

TIME_BASE = Fraction(1, 12800)
STEP = 512  # ticks of a frame at 25 frames per second

Pixels = NDArray[np.uint8]


def moving(count: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> list[Pixels]:
    """Smooth pictures that move; ``size`` is width and height."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    phases = np.random.default_rng(seed).uniform(0, 6, 3)
    return [
        np.stack([120 + 100 * np.sin(x / 9 + y / 13 + i / 5 + p) for p in phases], axis=-1).astype(np.uint8)
        for i in range(count)
    ]


def make_clip(
    path: Path,
    frames: Sequence[Pixels] | None = None,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    sound: str | None = "aac",
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    colors: dict[str, int] | None = None,
    pixel_aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a film, by default with a tone of the same length as its sound."""
    frames = moving(20) if frames is None else frames
    pts = [STEP * i for i in range(len(frames))] if pts is None else pts
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        video: Any = container.add_stream(codec, rate=Fraction(25), options=options or {"crf": "12"})
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.time_base = TIME_BASE
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        for name, value in (colors or {}).items():
            setattr(video.codec_context, name, value)
        audio: Any = None
        if sound is not None:
            audio = container.add_stream(sound, rate=48000, bit_rate=128_000)
        for picture, at in zip(frames, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = at, TIME_BASE
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _add_tone(container, audio, float((max(pts) + STEP) * TIME_BASE))
    return path


def _add_tone(container: Any, stream: Any, seconds: float) -> None:
    size = 960
    for start in range(0, round(seconds * 48000), size):
        wave = np.sin(2 * np.pi * 440 * (start + np.arange(size)) / 48000).astype(np.float32) / 4
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def shifted(clip: Path, path: Path, pictures: Fraction, sound: Fraction) -> Path:
    """Copy the packets to another file, with time stamps so many seconds later, or earlier if negative."""
    with (
        av.open(str(clip)) as source,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container,
    ):
        copies = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            by = pictures if packet.stream.type == "video" else sound
            ticks = round(by / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = copies[packet.stream_index]
            container.mux(packet)
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write (a, b, c, d) into the display matrix of an MP4's video track, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd")
    one = 1 << 16
    a, b, c, d = (value * one for value in matrix)
    struct.pack_into(">9i", data, at + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def decoded(path: Path, **options: str) -> list[tuple[int, Pixels]]:
    """Time stamps and pixels as FFmpeg decodes them, without this package."""
    with av.open(str(path), options=options) as container:
        return [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        assert base is not None
        return [frame.pts * base for frame in container.decode(video=0)]


def packets(path: Path, kind: str = "audio") -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, "subtitles" if kind == "subtitle" else kind)[0]
        return [
            (p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size and p.pts is not None
        ]


def failing_at(frame: int, error: BaseException) -> Callable[..., Any]:
    """``render_with_brush`` that raises ``error`` when it is called for the ``frame``-th time."""
    real, count = temporal.render_with_brush, 0

    def failing(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == frame:
            raise error
        return real(*arguments)

    return failing
