"""``metastyle stylize``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from metastyle.cli.adaptation import obtain
from metastyle.cli.batch import Batch, Paint, arrivals
from metastyle.cli.contents import photographs
from metastyle.cli.extras import needs
from metastyle.cli.inputs import (
    PIPE,
    Job,
    check_look,
    check_number,
    is_folder,
    is_pipe,
    parse_shard,
    source,
)
from metastyle.cli.options import FLAG, Bytes, Common, Learning, Sources, Whole
from metastyle.cli.output import BUG, INTERRUPTED, Display, Speaker, complain
from metastyle.cli.photos import Plan, is_single, plan
from metastyle.cli.streams import STDOUT
from metastyle.cli.styles import look_digest, mixture_name, read_masks, read_parts
from metastyle.errors import MetastyleError

MAX_SIZE = 100_000


def stylize(
    photos: Annotated[list[Path], Parameter(metavar="PHOTO...")],
    /,
    *,
    style: Annotated[
        list[str], Parameter(name=["--style", "-s"], metavar="STYLE[:WEIGHT]", negative_iterable="")
    ],
    output: Annotated[str | None, Parameter(name=["--output", "-o"], metavar="PATH")] = None,
    size: Annotated[Whole | None, Parameter(metavar="PIXELS")] = None,
    strength: float = 1.0,
    brush: float | None = None,
    grain: float | None = None,
    keep_color: Annotated[bool, FLAG] = False,
    match_color: Annotated[bool, FLAG] = False,
    mask: Annotated[list[str], Parameter(metavar="MASK=STYLE", negative_iterable="")] = [],  # noqa: B006 (never changed)
    feather: float = 0.01,
    overwrite: Annotated[bool, FLAG] = False,
    watch: Annotated[bool, FLAG] = False,
    shard: Annotated[str | None, Parameter(metavar="I/N")] = None,
    workers: Whole | None = None,
    max_memory: Bytes | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: str = "auto",
    learning: Learning = Learning(),  # noqa: B008 (frozen)
    sources: Sources = Sources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> int:
    """Repaint photographs in the style of a painting.

    STYLE is a painting (any picture), a style file made by 'metastyle adapt', or
    a built-in style's name. A painting is learned first, once for all
    photographs and on crops of them, and remembered for the next call with them
    or with their folder. Results lie beside the photographs as PHOTO-STYLE.jpg.

    For example:

        metastyle stylize photo.jpg --style painting.jpg
        metastyle stylize photo.jpg --style painting.jpg -o new.png --size 1600
        metastyle stylize holiday/ --style painting.safetensors -o repainted/
        metastyle stylize photo.jpg --style painting.jpg --keep-color --strength 0.7
        metastyle stylize photo.jpg --style sea.jpg:0.7 --style night.jpg:0.3
        metastyle stylize photo.jpg --style sea.jpg --mask face.png=photo
        metastyle stylize inbox/ --style painting.jpg -o done/ --watch
        cat photo.jpg | metastyle stylize - --style painting.jpg > new.png

    A photograph that cannot be read does not stop the others: it is listed at
    the end, and the exit code is 1. Of several photographs, those whose results
    exist are finished already.

    Args:
        photos: Photographs, folders of them, patterns, or - for stdin.
        style: What to paint with; several are mixed by their weights.
        output: A file name for one photograph (- for stdout, as PNG), a folder for several;
            FOLDER/ is one for one photograph, too, and is made.
        size: Long edge of the result; without it, the photograph's own size.
        strength: From 0, the photograph, to 1, the full style; up to 2 for more than that.
        brush: Size of strokes, the same on a preview and a print: 2 is twice as broad as 1.
        grain: How much flat areas are filled, 0 to 2; without it, as when the style was learned.
        keep_color: Keep the photograph's colors, take only the painting's strokes and light.
        match_color: Give the painting the first photograph's colors before it is learned.
        mask: Another style inside a mask (white or opaque there); 'photo' leaves it as it was.
        feather: Softness of the masks' edges, as a share of the long edge.
        overwrite: Replace results that exist.
        watch: Go on with photographs that arrive in the folders, until Ctrl-C.
        shard: Do the I-th of N equal parts, so that N calls share the work.
        workers: Share the work among so many processes of a Ray cluster, or of this machine.
        max_memory: Working memory for one picture; larger ones are done in strips, seamlessly.
        precision: bfloat16 is faster on processors that compute in it, and differs by some levels.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    started = time.perf_counter()
    check_look(size, MAX_SIZE, strength, brush, grain)
    check_number("--feather", feather, 0, 0.5)
    part_of = (1, 1) if shard is None else parse_shard(shard)
    parts, masks = read_parts(style), read_masks(mask)
    if PIPE in [p.path for p in parts] and PIPE in photos:
        raise MetastyleError("- can be the photograph or the style, not both")
    if match_color and not any(part.is_painting for part in parts):
        raise MetastyleError(
            "--match-color recolors a painting before it is learned: give --style a painting"
        )
    if watch and not all(photo.is_dir() for photo in photos):
        raise MetastyleError("--watch looks at folders: give one or more, and nothing else")
    if watch and match_color:
        raise MetastyleError("--match-color needs a first photograph before it begins: not with --watch")
    if workers is not None:
        check_number("--workers", workers, 1, 10_000)
        if watch or any(map(is_pipe, photos)):
            raise MetastyleError("--workers does folders and lists: give it no --watch and no pipe")
        with needs("scale", "--workers"):
            import ray  # noqa: F401
    name = mixture_name(parts)
    not_photos = [part.path for part in parts] + [one.mask for one in masks]
    options = {
        "size": size,
        "strength": strength,
        "brush": brush,
        "grain": grain,
        "keep_color": keep_color,
        "precision": precision,
    }
    look = look_digest(
        parts,
        masks,
        learning,
        sources,
        **options,
        match_color=match_color,
        feather=feather if masks else None,
    )

    def find(*, overwriting: bool) -> Plan:
        return plan(
            photos,
            name,
            None if output is None else Path(output),
            into_folder=output is not None and is_folder(output),
            overwrite=overwriting,
            look=look,
            shard=part_of,
            not_photos=not_photos,
            may_be_empty=watch,
        )

    planned = find(overwriting=overwrite)
    to_stdout = PIPE in [job.output for job in planned.jobs]
    if to_stdout:
        _check_stdout(planned.jobs, common)
    settings = learning.settings(device)

    from metastyle.images.decode import open_picture
    from metastyle.rendering.stylizer import SMALLEST_BUDGET

    check_number("--max-memory", max_memory, SMALLEST_BUDGET, float("inf"))
    mask_pictures = [open_picture(source(one.mask)) for one in masks]
    document: dict[str, Any] = {
        "command": "stylize",
        "finished": [*planned.finished, *planned.unknown],
        "left_out": [{"picture": picture, "what": what} for picture, what in planned.left_out.items()],
    }
    interruption: list[str] = []
    with Display(common.quiet) as display:
        batch = Batch(display, Speaker(common.json, common.quiet or to_stdout), common.debug)
        batch.failed |= planned.refused
        # Before a painting is learned for a minute: is there any photograph to use it on?
        jobs = batch.readable(planned.jobs)
        _tell(planned, display)
        if jobs or watch:
            colors = batch.open(jobs[0].photo) if match_color else None
            some = jobs or planned.finished or planned.unknown  # and not only an empty folder to watch
            own = photographs(photos, planned.photos, settings.size) if some else None
            taught = obtain(parts, learning, sources, device, display, own, colors)
            others = [
                obtain([one.part], learning, sources, device, display, own).style if one.part else None
                for one in masks
            ]
            document["style"] = taught.record()
            paint = Paint(
                taught.style,
                list(zip(mask_pictures, others, strict=True)),
                feather,
                options | {"max_memory": max_memory, "device": device},
                look,
            )
            with _interruptible() as interruption:
                if workers is None:
                    batch.repaint(jobs, paint, overwrite=overwrite)
                else:
                    batch.repaint_with_ray(jobs, paint, workers, overwrite=overwrite)
                if watch:
                    seen = {job.photo for job in planned.jobs}
                    _watch(batch, paint, lambda: find(overwriting=False), seen)
    several = watch or not is_single(photos)
    code = 0 if not batch.failed else BUG if batch.bug else 1 if several else 2
    errors: list[dict[str, Any]] = [{"photo": p, "error": e} for p, e in batch.failed.items()]
    if interruption:
        code = INTERRUPTED
        errors += [{"error": line} for line in interruption]
    document |= {
        "outputs": batch.written,
        "errors": errors,
        "seconds": round(time.perf_counter() - started, 3),
        "exit_code": code,
    }
    batch.speaker.document(document)
    if several and batch.failed:
        total = len(batch.failed) + len(batch.written)
        complain(f"{len(batch.failed)} of {total} photographs could not be done:")
    for problem in [*batch.failed.values(), *interruption]:
        complain(problem)
    return code


@contextmanager
def _interruptible() -> Iterator[list[str]]:
    """Ctrl-C ends the block, not the report of what was done; the list says so then."""
    lines: list[str] = []
    try:
        yield lines
    except KeyboardInterrupt:
        lines.append("interrupted")


def _tell(planned: Plan, display: Display) -> None:
    """What the call leaves as it is, and what lies elsewhere than its name says."""
    if count := len(planned.finished):
        display.note(f"{count} results were there already" if count > 1 else "1 result was there already")
    if planned.unknown:
        display.note(f"taken for finished by the name alone: {_some(planned.unknown)}")
    left_out = {
        picture: what for picture, what in planned.left_out.items() if picture not in planned.finished
    }
    for what in dict.fromkeys(left_out.values()):
        pictures = [picture for picture, is_ in left_out.items() if is_ == what]
        display.note(f"left out as {what}: {_some(pictures)}")
    for note in planned.notes:
        display.note(note)


def _some(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3])
    return names if len(paths) <= 3 else f"{names} and {len(paths) - 3} more"


def _watch(batch: Batch, paint: Paint, find: Callable[[], Plan], seen: set[Path]) -> None:
    """Until Ctrl-C. A photograph that is being repainted then is left out: results are written whole."""

    def look() -> list[Job]:
        planned = find()
        for photo, why in planned.refused.items():
            if photo not in batch.failed:
                batch.failed[photo] = why
                batch.display.note(why)
        return planned.jobs

    batch.display.note("watching: Ctrl-C ends it")
    try:
        for arrived in arrivals(look, seen):
            batch.repaint(arrived, paint, overwrite=False)
    except KeyboardInterrupt:
        batch.display.note("no longer watching")


def _check_stdout(jobs: list[Job], common: Common) -> None:
    if len(jobs) > 1:
        raise MetastyleError("a photograph from stdin goes to stdout alone: give -o FOLDER for several")
    if common.json:
        raise MetastyleError("--json and the picture cannot both go to stdout: give -o FILE")
    if STDOUT.stream is None:
        raise MetastyleError("the picture would go to stdout, which is closed: give -o FILE")
    if STDOUT.isatty():
        raise MetastyleError("the picture would be written to the terminal: give -o FILE, or redirect stdout")
