"""``metastyle blend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metastyle.cli.inputs import STYLE_SUFFIX, check_is_file, check_number, check_output, check_picture_output
from metastyle.cli.options import FLAG, Common, Whole
from metastyle.cli.output import Display, Speaker
from metastyle.cli.styles import read_parts, weights_of
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
    strip: Annotated[Whole | None, Parameter(metavar="COUNT")] = None,
    photo: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Mix styles into a new one: a weighted mean of what was learned.

    Weights are shares; they need not add up to 1. Without any, all count the same.
    With --strip, the way from one style to another is shown instead, as one
    picture of a photograph in so many steps.

    For example:

        metastyle blend sea.safetensors night.safetensors -o half.safetensors
        metastyle blend sea.safetensors:0.3 night.safetensors:0.7 -o mix.safetensors
        metastyle blend night mosaic --strip 7 --photo photo.jpg -o strip.png

    Args:
        styles: Built-in styles, or files made by 'metastyle adapt', each with its weight.
        output: The new style file; with --strip, the picture.
        strip: So many pictures on the way from the first style to the second.
        photo: The photograph of the strip.
        overwrite: Replace the output if it exists.
    """
    parts = read_parts(styles)
    for part in parts:
        if not part.is_style_file:
            raise MetastyleError(f"{part.path}: give a style file: 'metastyle adapt' makes one of a painting")
    if (strip is None) != (photo is None):
        raise MetastyleError("--strip and --photo go together: how many pictures, and of which photograph")
    if strip is not None:
        check_number("--strip", strip, 2, 50)
        if len(parts) != 2 or weights_of(parts):
            raise MetastyleError("--strip goes from one style to another: give two, without weights")
        check_picture_output(output, overwrite=overwrite)
    elif output.suffix.lower() != STYLE_SUFFIX:
        raise MetastyleError(f"{output}: a style file's name ends in {STYLE_SUFFIX}")
    check_output(output, overwrite=overwrite)
    if photo is not None:
        check_is_file(photo)

    from metastyle import api

    loaded = [api.load(part.path) for part in parts]
    document: dict[str, Any] = {"command": "blend", "outputs": [{"output": output}]}
    if strip is not None and photo is not None:
        _write_strip(loaded[0], loaded[1], strip, photo, output, overwrite=overwrite, quiet=common.quiet)
        sentence = f"{output}  {strip} pictures from {loaded[0].painting} to {loaded[1].painting}"
    else:
        mix = api.blend(loaded, weights_of(parts))
        output.parent.mkdir(parents=True, exist_ok=True)
        mix.save(output, overwrite=overwrite)
        sentence = f"{output}  {mix.painting}"
        document["style"] = {"painting": mix.painting}
    speaker = Speaker(common.json, common.quiet)
    speaker.document(document | {"errors": [], "exit_code": 0})
    speaker.line(sentence)
    return 0


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
