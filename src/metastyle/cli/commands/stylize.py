"""``metastyle stylize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.inputs import parse_shard
from metastyle.cli.options import (
    FLAG,
    AdaptationOptions,
    AdaptationSources,
    Common,
    Count,
    Memory,
    Size,
    Whole,
)
from metastyle.cli.output import Outcome
from metastyle.cli.repaint import Request, repaint
from metastyle.cli.style_option import read_masks, read_parts
from metastyle.core.settings import FEATHER, Brush, Feather, Grain, PhotoPrecision, Strength


def stylize(
    photos: Annotated[list[Path], Parameter(metavar="PHOTO...")],
    /,
    *,
    style: Annotated[
        list[str], Parameter(name=["--style", "-s"], metavar="STYLE[:WEIGHT]", negative_iterable="")
    ],
    output: Annotated[str | None, Parameter(name=["--output", "-o"], metavar="PATH")] = None,
    size: Size | None = None,
    strength: Strength = 1.0,
    brush: Brush | None = None,
    grain: Grain | None = None,
    keep_color: Annotated[bool, FLAG] = False,
    match_color: Annotated[bool, FLAG] = False,
    mask: Annotated[list[str], Parameter(metavar="MASK=STYLE", negative_iterable="")] = [],  # noqa: B006 (never changed)
    feather: Feather = FEATHER,
    overwrite: Annotated[bool, FLAG] = False,
    watch: Annotated[bool, FLAG] = False,
    shard: Annotated[str | None, Parameter(metavar="I/N")] = None,
    workers: Count | None = None,
    batch: Annotated[Whole, Ge(1), Le(1000)] | None = None,
    max_memory: Memory | None = None,
    precision: PhotoPrecision = "auto",
    device: str = "auto",
    adaptation: AdaptationOptions = AdaptationOptions(),  # noqa: B008 (frozen)
    sources: AdaptationSources = AdaptationSources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> Outcome:
    """Repaint photographs in the style of a painting.

    STYLE is a painting (any picture), a style file made by 'metastyle adapt', or
    a built-in style's name. The network is first adapted to a painting, on crops
    of all the photographs, and the style is cached for the next call with them or
    with their folder. Results are written next to the photographs, as
    PHOTO-STYLE.jpg.

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
    already exist are skipped.

    Args:
        photos: Photographs, folders of them, patterns, or - for stdin.
        style: The style; several styles are blended by their weights.
        output: A file for one photograph (- for stdout, as PNG), or a folder; NEW/ is created.
        size: Long edge of the result; by default the photograph's own size.
        strength: 0 is the photograph, 1 the full style; values up to 2 exaggerate it.
        brush: Stroke size relative to the picture, 0.25 to 8: 2 is twice as broad as 1.
        grain: Amount of texture in flat areas, 0 to 2; by default 0.6 of what the style was adapted with.
        keep_color: Keep the photograph's colors; take only strokes and lightness from the style.
        match_color: Give the painting the first photograph's colors before adapting to it.
        mask: Another style where a mask is white or opaque; 'photo' leaves the photograph unchanged.
        feather: Softness of the masks' edges, as a share of the long edge, 0 to 0.5.
        overwrite: Replace existing results.
        watch: Then wait for new photographs in the folders and repaint them, until Ctrl-C.
        shard: Repaint the I-th of N equal parts, so that N calls share the work.
        workers: Share the work among this many processes of a Ray cluster, or of this machine.
        batch: Photographs of one size that a GPU repaints together. [default: 8]
        max_memory: Working memory for one picture; larger ones are repainted in strips, without seams.
        precision: float32, or bfloat16 (faster on hardware that has it); auto takes it on such processors.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    return repaint(
        Request(
            photos=photos,
            parts=read_parts(style),
            masks=read_masks(mask),
            output=output,
            options={
                "size": size,
                "strength": strength,
                "brush": brush,
                "grain": grain,
                "keep_color": keep_color,
                "precision": precision,
            },
            device=device,
            max_memory=max_memory,
            feather=feather,
            match_color=match_color,
            overwrite=overwrite,
            watch=watch,
            shard=(1, 1) if shard is None else parse_shard(shard),
            workers=workers,
            batch=batch,
            adaptation=adaptation,
            sources=sources,
            common=common,
        )
    )
