"""Numbered pictures as a film: a folder of frames, or a pattern such as ``frame%03d.png``."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av import FFmpegError
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.files import one_line
from metastyle.images.formats.decoded import quiet

_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_NUMBER = re.compile(r"%0?([0-9]*)d")


def is_sequence(path: Path) -> bool:
    """Whether the path stands for frames: a folder, or a pattern such as ``frame%03d.png``."""
    return path.is_dir() or (_NUMBER.search(path.name) is not None and not path.exists())


def name_of(sequence: Path) -> Path:
    """The path of a film of these frames, without an extension, next to the folder or the frames."""
    if sequence.is_dir():
        return sequence.resolve()
    stem = _NUMBER.sub("", Path(sequence.name).stem).strip(" _-.")
    return sequence.with_name(stem or sequence.absolute().parent.name)


@contextmanager
def as_film(sequence: Path, rate: Fraction) -> Iterator[Path]:
    """A temporary film file of the frames, removed at the end of the block.

    It holds the unchanged bytes of the pictures, and equal frames give equal files. With a pattern, a frame
    is shown longer if the next number is missing; the frames of a folder have no gaps.

    Raises:
        MetastyleError: there are no frames, or they differ in kind or size, or are neither PNG nor JPEG.
    """
    frames = _of_folder(sequence) if sequence.is_dir() else _of_pattern(sequence)
    _check_alike(list(frames.values()), sequence)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / f"{name_of(sequence).name}.mov"
        write_film(frames, rate, film)
        yield film


def _of_folder(folder: Path) -> dict[int, Path]:
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in _KINDS and not p.name.startswith(".")]
    return dict(enumerate(sorted(pictures, key=lambda path: _in_order(path.name))))


def _of_pattern(pattern: Path) -> dict[int, Path]:
    number = _NUMBER.search(pattern.name)
    assert number is not None
    start, end = pattern.name[: number.start()], pattern.name[number.end() :]
    form = re.compile(f"{re.escape(start)}([0-9]{{{number[1] or 1},}}){re.escape(end)}")
    found = {
        int(match[1]): path
        for path in (pattern.parent.iterdir() if pattern.parent.is_dir() else ())
        if (match := form.fullmatch(path.name))
    }
    first = min(found, default=0)
    return {index - first: found[index] for index in sorted(found)}


def _in_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts frame9 before frame10."""
    return [(int(text), "") if text.isdigit() else (-1, text) for text in re.split(r"([0-9]+)", name)]


def _check_alike(frames: Sequence[Path], sequence: Path) -> None:
    name = one_line(sequence)
    if not frames:
        raise MetastyleError(f"{name}: there are no PNG or JPEG frames")
    kinds = {_KINDS.get(path.suffix.lower(), path.suffix) for path in frames}
    if not kinds <= {"PNG", "JPEG"}:
        raise MetastyleError(f"{name}: frames must be PNG or JPEG, not {min(kinds - {'PNG', 'JPEG'})}")
    if len(kinds) > 1:
        raise MetastyleError(f"{name}: frames must be of one kind: some are PNG, some JPEG")
    sizes: dict[tuple[int, int], Path] = {}
    for path in frames:
        try:
            with quiet(), Image.open(path, formats=("PNG", "JPEG")) as image:
                sizes.setdefault(image.size, path)
        except (OSError, ValueError, SyntaxError):  # damaged: skipped and counted when the film is read
            continue
    if len(sizes) > 1:
        (size, one), (other_size, other) = list(sizes.items())[:2]
        raise MetastyleError(
            f"{name}: frames must be of one size: {one.name} is {size[0]}x{size[1]},"
            f" {other.name} {other_size[0]}x{other_size[1]}"
        )


def write_film(frames: dict[int, Path], rate: Fraction, film: Path, *, end: int | None = None) -> None:
    """Write pictures of one kind and size to a QuickTime file.

    Args:
        frames: the pictures, by the tick at which they are shown.
        rate: ticks per second.
        end: tick at which the last one ends; by default the next.

    Raises:
        MetastyleError: they cannot be written.
    """
    tick = 1 / rate
    first_file = next(iter(frames.values())).absolute()
    try:
        with (
            av.open(str(first_file), options={"protocol_whitelist": "file"}) as first,
            av.open(str(film), "w", format="mov", container_options={"fflags": "+bitexact"}) as container,
        ):
            stream: Any = container.add_stream_from_template(first.streams.video[0])
            stream.time_base = tick
            times = [*frames, end or max(frames) + 1]
            for (index, path), following in zip(frames.items(), times[1:], strict=True):
                packet: Any = av.Packet(path.read_bytes())
                packet.stream, packet.time_base = stream, tick
                packet.pts = packet.dts = index
                packet.duration = following - index
                packet.is_keyframe = True
                container.mux(packet)
    except FFmpegError as error:
        raise MetastyleError(f"{one_line(first_file)}: cannot be joined: {error.strerror}") from None
