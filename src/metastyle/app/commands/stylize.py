"""``metastyle stylize``."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metastyle.app.errors import explain
from metastyle.app.inputs import PIPE, Job, check_number, plan
from metastyle.app.options import FLAG, Bytes, Common, Learning, Sources
from metastyle.app.progress import Display, Speaker, complain, seconds
from metastyle.app.teaching import Piped, check_style, obtain, read_pipe
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.api import Style
    from metastyle.media.images import Picture

MAX_SIZE = 100_000


@dataclass
class _Outcome:
    """What became of the photographs."""

    written: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)


def stylize(
    photos: Annotated[list[Path], Parameter(metavar="PHOTO...")],
    /,
    *,
    style: Annotated[Path, Parameter(name=["--style", "-s"], metavar="PAINTING|STYLE")],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], metavar="PATH")] = None,
    size: Annotated[int | None, Parameter(metavar="PIXELS")] = None,
    keep_color: Annotated[bool, FLAG] = False,
    strength: float = 1.0,
    overwrite: Annotated[bool, FLAG] = False,
    max_memory: Bytes | None = None,
    device: str = "auto",
    learning: Learning = Learning(),  # noqa: B008 (frozen)
    sources: Sources = Sources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> int:
    """Repaint photographs in the style of a painting.

    A painting is learned first, once for all photographs, and remembered for
    the next call. Results lie beside the photographs as PHOTO-STYLE.jpg.

    For example:

        metastyle stylize photo.jpg --style painting.jpg
        metastyle stylize photo.jpg --style painting.jpg -o new.png --size 1600
        metastyle stylize holiday/ --style painting.safetensors -o repainted/
        metastyle stylize photo.jpg --style painting.jpg --keep-color --strength 0.7
        cat photo.jpg | metastyle stylize - --style painting.jpg > new.png

    A photograph that cannot be read does not stop the others: it is listed at
    the end, and the exit code is 1.

    Args:
        photos: Photographs, folders of them, or - for stdin.
        style: A painting (any picture), or a style file made by 'metastyle adapt'.
        output: A file name for one photograph (- for stdout, as PNG), a folder for several.
        size: Long edge of the result; without it, the photograph's own size.
        keep_color: Keep the photograph's colours, take only the painting's strokes and light.
        strength: From 0, the photograph, to 1, the full style.
        overwrite: Replace results that exist.
        max_memory: Working memory for one picture; larger ones are done in strips, seamlessly.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    started = time.perf_counter()
    check_number("--size", size, 16, MAX_SIZE)
    check_number("--strength", strength, 0, 1)
    check_style(style)
    if style == PIPE and PIPE in photos:
        raise MetastyleError("- can be the photograph or the style, not both")
    jobs = plan(photos, style, output, overwrite=overwrite)
    if PIPE in [job.output for job in jobs]:
        _check_stdout(jobs, common)
    learning.settings()

    from metastyle.core.hardware import pick_device
    from metastyle.rendering.stylizer import SMALLEST_BUDGET

    pick_device(device)
    check_number("--max-memory", max_memory, SMALLEST_BUDGET, float("inf"))
    speaker = Speaker(common.json, common.quiet or PIPE in [job.output for job in jobs])
    outcome = _Outcome()
    piped = read_pipe() if PIPE in photos else Piped()
    # Before a painting is learned for a minute: is there any photograph to use it on?
    jobs = _without_unreadable(jobs, piped, outcome)
    document: dict[str, Any] = {"command": "stylize"}
    with Display(common.quiet) as display:
        if jobs:
            taught = obtain(style, learning, sources, device, display)
            document["style"] = taught.record()
            what = "repainting" if len(jobs) == 1 else f"repainting {len(jobs)} photographs"
            for index, job in enumerate(jobs):
                progress = display.share(what, index, len(jobs), _name(job.photo))
                progress(0.0)
                try:
                    record = _repaint(
                        job,
                        piped,
                        taught.style,
                        overwrite=overwrite,
                        options={
                            "size": size,
                            "keep_color": keep_color,
                            "strength": strength,
                            "max_memory": max_memory,
                            "device": device,
                            "progress": progress,
                        },
                    )
                except (MetastyleError, OSError) as error:
                    outcome.failed[job.photo] = explain(error)[0]
                    progress(1.0)
                    continue
                outcome.written.append(record)
                speaker.line(_sentence(record))
    several = len(photos) > 1 or photos[0].is_dir()
    code = 0 if not outcome.failed else 1 if several else 2
    document |= {
        "outputs": outcome.written,
        "errors": [{"photo": p, "error": e} for p, e in outcome.failed.items()],
        "seconds": round(time.perf_counter() - started, 3),
        "exit_code": code,
    }
    speaker.document(document)
    if several and outcome.failed:
        total = len(outcome.failed) + len(outcome.written)
        complain(f"{len(outcome.failed)} of {total} photographs could not be done:")
    for problem in outcome.failed.values():
        complain(problem)
    return code


def _check_stdout(jobs: list[Job], common: Common) -> None:
    if len(jobs) > 1:
        raise MetastyleError("a photograph from stdin goes to stdout alone: give -o FOLDER for several")
    if common.json:
        raise MetastyleError("--json and the picture cannot both go to stdout: give -o FILE")
    if sys.stdout.isatty():
        raise MetastyleError("the picture would be written to the terminal: give -o FILE, or redirect stdout")


def _open(photo: Path, piped: Piped) -> Picture:
    from metastyle.media.images import open_picture

    return open_picture(piped if photo == PIPE else photo)


def _without_unreadable(jobs: list[Job], piped: Piped, outcome: _Outcome) -> list[Job]:
    """Without the unreadable photographs that come first: one that can be read is enough to begin."""
    for index, job in enumerate(jobs):
        try:
            _open(job.photo, piped)
        except MetastyleError as error:
            outcome.failed[job.photo] = str(error)
        else:
            return jobs[index:]
    return []


def _repaint(
    job: Job, piped: Piped, style: Style, *, overwrite: bool, options: dict[str, Any]
) -> dict[str, Any]:
    from metastyle.media.images import save_picture

    started = time.perf_counter()
    result = style.render(_open(job.photo, piped), **options)
    if job.output == PIPE:
        # Through a file: what writes pictures also checks them, names them and keeps their profile.
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.png"
            save_picture(result, file)
            sys.stdout.buffer.write(file.read_bytes())
            sys.stdout.buffer.flush()
    else:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(result, job.output, overwrite=overwrite)
    height, width = result.pixels.shape[:2]
    return {
        "photo": job.photo,
        "output": job.output,
        "width": width,
        "height": height,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _name(photo: Path) -> str:
    return "photograph" if photo == PIPE else photo.name


def _sentence(record: dict[str, Any]) -> str:
    return f"{record['output']}  {record['width']}x{record['height']}  {seconds(record['seconds'])}"
