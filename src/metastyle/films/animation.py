"""Animated WebP as a film, because FFmpeg reads none; it reads the other animations itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageSequence, WebPImagePlugin

from metastyle.errors import MetastyleError
from metastyle.files import one_line, reason
from metastyle.films.sequence import write_film
from metastyle.images.formats.decoded import quiet
from metastyle.images.picture import check_size

_ANIMATED = 2  # a flag of the extended format
_SHORTEST, _USUAL = 10, 100  # ms: browsers show frames without a sensible duration for a tenth of a second
_FORMAT = WebPImagePlugin.WebPImageFile.format


def is_animation(path: Path) -> bool:
    """Whether this is an animated WebP, by its first bytes."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(21)
    except (OSError, ValueError):
        return False
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & _ANIMATED)


@contextmanager
def as_film(animation: Path) -> Iterator[Path]:
    """A temporary film file of the frames, with their times; removed at the end of the block.

    The animation is shown once. Equal animations give equal files.

    Raises:
        MetastyleError: it cannot be read, or is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        frames, begins = dict[int, Path](), 0
        try:
            with quiet(), Image.open(animation, formats=[_FORMAT]) as image:
                check_size(image.size, one_line(animation))
                for number, frame in enumerate(ImageSequence.Iterator(image)):
                    frames[begins] = Path(folder) / f"{number}.png"
                    frame.save(frames[begins], compress_level=1, icc_profile=None, exif=b"")
                    duration = frame.info.get("duration", 0)
                    begins += duration if duration > _SHORTEST else _USUAL
        except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
            raise MetastyleError(f"{one_line(animation)} is damaged: {reason(error)}") from error
        film = Path(folder) / f"{animation.stem}.mov"
        write_film(frames, Fraction(1000), film, end=begins)
        yield film
