"""``metastyle export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metastyle.cli.inputs import PIPE, check_is_file, check_output
from metastyle.cli.options import FLAG, Common
from metastyle.cli.output import Outcome
from metastyle.errors import MetastyleError
from metastyle.weights.builtin_styles import style_path

_SUFFIX = ".onnx"


def export(
    style: Annotated[Path, Parameter(metavar="STYLE")],
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], metavar="MODEL")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Write a style as an ONNX model, for other programs and for browsers.

    The model takes pictures of any size: RGB in [0, 1], (batch, 3, height, width).

    For example:

        metastyle export night
        metastyle export mine.safetensors -o model.onnx --overwrite

    Args:
        style: A style file made by 'metastyle adapt', or the name of a built-in style.
        output: The model; by default STYLE.onnx next to the style.
        overwrite: Replace the model if it exists.
    """
    if style == PIPE:
        raise MetastyleError("styles are read from files, not pipes: give a file name")
    source = style_path(style)
    check_is_file(source)
    out = output if output is not None else style.with_suffix(_SUFFIX)
    if out.suffix.lower() != _SUFFIX:
        raise MetastyleError(f"{out}: a model's name ends in {_SUFFIX}")
    check_output(out, overwrite=overwrite)

    from metastyle import api
    from metastyle.rendering.onnx import export_onnx

    loaded = api.load(source)
    out.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"painting": loaded.painting, "painting_sha256": loaded.painting_sha256}
    export_onnx(loaded.network(), out, overwrite=overwrite, metadata=metadata)
    size = out.stat().st_size
    return Outcome("export", outputs=[{"output": out, "bytes": size}], lines=[f"{out}  {size / 1e6:.1f} MB"])
