"""``metastyle blend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.inputs import STYLE_SUFFIX, check_is_file, check_output, check_picture_output
from metastyle.cli.options import FLAG, Common, Whole
from metastyle.cli.output import Display, Outcome
from metastyle.cli.style_option import Part, read_parts, weights_of
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.picture import Picture
    from metastyle.style import Style

STRIP_SIZE = 512
"""Long edge of each picture of a strip."""


def blend(
    styles: Annotated[list[str], Parameter(metavar="STYLE[:WEIGHT]...")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="PATH")],
    strip: Annotated[Whole, Parameter(metavar="COUNT"), Ge(2), Le(50)] | None = None,
    photo: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Blend styles into a new one: a weighted mean of their parameters.

    Weights are relative and need not add up to 1; without weights, all styles
    count equally. With --strip, the output is a picture of a photograph in steps
    from one style to another.

    For example:

        metastyle blend sea.safetensors night.safetensors -o half.safetensors
        metastyle blend sea.safetensors:0.3 night.safetensors:0.7 -o mix.safetensors
        metastyle blend night mosaic --strip 7 --photo photo.jpg -o strip.png

    Args:
        styles: Built-in styles, or files made by 'metastyle adapt', each with its weight.
        output: The new style file; with --strip, the picture.
        strip: Number of pictures from the first style to the second.
        photo: The photograph for the strip.
        overwrite: Replace the output if it exists.
    """
    parts = read_parts(styles)
    _check(parts, output, strip, photo, overwrite=overwrite)

    from metastyle import api

    loaded = [api.load(part.path) for part in parts]
    if strip is not None and photo is not None:
        _write_strip(loaded[0], loaded[1], strip, photo, output, overwrite=overwrite, quiet=common.quiet)
        line = f"{output}  {strip} pictures from {loaded[0].painting} to {loaded[1].painting}"
        return Outcome("blend", outputs=[{"output": output}], lines=[line])
    blended = api.blend(loaded, weights_of(parts))
    output.parent.mkdir(parents=True, exist_ok=True)
    blended.save(output, overwrite=overwrite)
    return Outcome(
        "blend",
        outputs=[{"output": output}],
        details={"style": {"painting": blended.painting}},
        lines=[f"{output}  {blended.painting}"],
    )


def _check(
    parts: list[Part], output: Path, strip: int | None, photo: Path | None, *, overwrite: bool
) -> None:
    for part in parts:
        if not part.is_style_file:
            raise MetastyleError(f"{part.path}: give a style file: 'metastyle adapt' makes one of a painting")
    if (strip is None) != (photo is None):
        raise MetastyleError("--strip and --photo go together: how many pictures, and of which photograph")
    if strip is not None:
        if len(parts) != 2 or weights_of(parts):
            raise MetastyleError("--strip goes from one style to another: give two, without weights")
        check_picture_output(output, overwrite=overwrite)
    else:
        if output.suffix.lower() != STYLE_SUFFIX:
            raise MetastyleError(f"{output}: a style file's name ends in {STYLE_SUFFIX}")
        check_output(output, overwrite=overwrite)
    if photo is not None:
        check_is_file(photo)


def _write_strip(
    first: Style, second: Style, count: int, photo: Path, output: Path, *, overwrite: bool, quiet: bool
) -> None:
    import numpy as np

    from metastyle import api
    from metastyle.images.decode import open_picture
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture, eight_bits, resize

    picture: Picture = resize(open_picture(photo), STRIP_SIZE)
    shares = [index / (count - 1) for index in range(count)]
    with Display(quiet) as display:
        painted = [
            eight_bits(
                api.blend([first, second], [1 - share, share])
                .render(picture, progress=display.share("painting", index, count, f"{share:.2g}"))
                .pixels
            )
            for index, share in enumerate(shares)
        ]
    output.parent.mkdir(parents=True, exist_ok=True)
    save_picture(Picture(pixels=np.concatenate(painted, axis=1)), output, overwrite=overwrite)
