"""From photographs to results: painting and writing, in this process or in a worker's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.inputs import PIPE, Job, source
from metastyle.cli.streams import STDOUT

if TYPE_CHECKING:
    from metastyle.images.picture import Picture
    from metastyle.style import RenderOptions, Style


@dataclass(frozen=True)
class RenderArguments:
    """The arguments of ``api.render_regions`` for every photograph."""

    background: Style | None
    regions: list[tuple[Picture, Style | None]]
    feather: float
    options: RenderOptions
    look: str
    """Digest of all of this, which is written into results."""


def paint_together(
    photos: Sequence[Picture], arguments: RenderArguments, progress: Callable[[float], None] | None = None
) -> tuple[list[Picture], float]:
    """The photographs repainted, and the seconds that it took."""
    from metastyle import api

    started = time.perf_counter()
    options: RenderOptions = {**arguments.options, "progress": progress}
    painted = api.render_regions(
        photos, arguments.background, arguments.regions, arguments.feather, **options
    )
    return painted, time.perf_counter() - started


def write_one(job: Job, painted: Picture, spent: float, look: str, *, overwrite: bool) -> dict[str, Any]:
    """Write a result that took ``spent`` seconds to paint; returns a record of it."""
    from metastyle.images.encode import save_picture
    from metastyle.images.origin import Origin, photo_digest, place_digest, stamp

    started = time.perf_counter()
    origin = Origin(photo_digest(source(job.photo)), place_digest(job.photo), look)
    painted = replace(painted, exif=stamp(painted.exif, origin))
    if job.output == PIPE:
        # Through a file, because the writer of pictures works on files.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.png"
            save_picture(painted, file)
            STDOUT.deliver(file.read_bytes())
    else:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(painted, job.output, overwrite=overwrite)
    height, width = painted.pixels.shape[:2]
    return {
        "photo": job.photo,
        "output": job.output,
        "width": width,
        "height": height,
        "seconds": round(spent + time.perf_counter() - started, 3),
    }
