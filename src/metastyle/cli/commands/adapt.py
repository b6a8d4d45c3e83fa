"""``metastyle adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metastyle.cli.adaptation import Preview, teach
from metastyle.cli.inputs import (
    STYLE_SUFFIX,
    check_is_file,
    check_output,
    check_picture_output,
    is_nameless,
)
from metastyle.cli.options import FLAG, Common, Learning, Sources
from metastyle.cli.output import INTERRUPTED, Display, Speaker, StopRequest, complain, seconds
from metastyle.cli.styles import Part
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.core.adaptation import AdaptationStep


def adapt(
    painting: Annotated[Path, Parameter(metavar="PAINTING")],
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], metavar="STYLE")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    from_: Annotated[Path | None, Parameter(name="--from", metavar="STYLE")] = None,
    preview: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    preview_output: Annotated[Path | None, Parameter(metavar="PICTURE")] = None,
    device: str = "auto",
    learning: Learning = Learning(),  # noqa: B008 (frozen)
    sources: Sources = Sources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> int:
    """Teach the network a painting; the style file that comes out repaints anything.

    Ctrl-C stops after the current step and keeps what has been learned.

    For example:

        metastyle adapt painting.jpg
        metastyle adapt a.jpg -o a.safetensors --effort draft
        metastyle adapt a.jpg -o b.safetensors --effort fine --from a.safetensors
        metastyle adapt painting.jpg --content holiday/ --preview holiday/beach.jpg
        metastyle adapt painting.jpg --style-size 256    # smaller strokes

    Args:
        painting: Any picture; - for stdin.
        output: The style file; without it, PAINTING.safetensors beside the painting.
        overwrite: Replace a style file or preview that exists.
        from_: Go on from this style, such as a draft of the same painting.
        preview: Repaint this photograph every few seconds with what has been learned so far.
        preview_output: Where the preview is written; without it, STYLE-preview.jpg beside the style.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    check_is_file(painting)
    out = output if output is not None else _beside(painting)
    if out.suffix.lower() != STYLE_SUFFIX:
        raise MetastyleError(f"{out}: a style file's name ends in {STYLE_SUFFIX}")
    check_output(out, overwrite=overwrite)
    preview_out = _preview_output(preview, preview_output, out, overwrite=overwrite)
    if from_ is not None:
        check_is_file(from_)
    learning.settings(device)
    speaker = Speaker(common.json, common.quiet)
    last: AdaptationStep | None = None

    with Display(common.quiet) as display, StopRequest() as stop:
        show = Preview(preview, preview_out) if preview and preview_out else None

        def on_step(step: AdaptationStep) -> bool:
            nonlocal last
            last = step
            stop.armed = True
            if show is not None:
                show(step)
            return not stop.asked

        taught = teach(painting, learning, sources, device, display, on_step, start=from_)
        out.parent.mkdir(parents=True, exist_ok=True)
        taught.style.save(out, overwrite=overwrite)
    interrupted = last is not None and last.step < last.steps
    code = INTERRUPTED if interrupted else 0
    document = {"command": "adapt", "outputs": [{"output": out}], "style": taught.record()}
    speaker.document(document | {"interrupted": interrupted, "errors": [], "exit_code": code})
    how = "remembered from an earlier call" if taught.how == "remembered" else seconds(taught.seconds)
    speaker.line(f"{out}  {len(taught.style.curve)} steps  {how}")
    if interrupted and last is not None:
        complain(f"stopped after step {last.step} of {last.steps}; what was learned is kept in {out}")
    elif not common.quiet:
        speaker.line(f"now: metastyle stylize PHOTO --style {out}")
    return code


def _beside(painting: Path) -> Path:
    if is_nameless(painting):
        raise MetastyleError("a painting from a pipe has no name: add -o STYLE.safetensors")
    return painting.with_name(Part(painting).name + STYLE_SUFFIX)


def _preview_output(preview: Path | None, given: Path | None, out: Path, *, overwrite: bool) -> Path | None:
    if preview is None:
        if given is not None:
            raise MetastyleError("--preview-output needs --preview PHOTO: which photograph to repaint")
        return None
    check_is_file(preview)
    path = given if given is not None else out.with_name(out.stem + "-preview.jpg")
    check_picture_output(path, overwrite=overwrite)
    return path
