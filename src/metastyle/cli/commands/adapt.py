"""``metastyle adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metastyle.cli.adaptation import Adapter, Prepared, Preview
from metastyle.cli.errors import DONE, INTERRUPTED
from metastyle.cli.inputs import (
    STYLE_SUFFIX,
    check_is_file,
    check_output,
    check_picture_output,
    is_folder,
    is_nameless,
)
from metastyle.cli.options import FLAG, AdaptationOptions, AdaptationSources, Common, Whole
from metastyle.cli.output import Display, Outcome, seconds
from metastyle.cli.stop import StopRequest
from metastyle.cli.style_option import Part
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.core.adaptation import AdaptationStep


def adapt(
    painting: Annotated[Path, Parameter(metavar="PAINTING")],
    /,
    *,
    output: Annotated[str | None, Parameter(name=["--output", "-o"], metavar="PATH")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    from_: Annotated[Path | None, Parameter(name="--from", metavar="STYLE")] = None,
    preview: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    preview_output: Annotated[Path | None, Parameter(metavar="PICTURE")] = None,
    batch: Annotated[Whole | None, Parameter(show=False)] = None,
    device: str = "auto",
    adaptation: AdaptationOptions = AdaptationOptions(),  # noqa: B008 (frozen)
    sources: AdaptationSources = AdaptationSources(),  # noqa: B008
    common: Common = Common(),  # noqa: B008
) -> Outcome:
    """Adapt the network to a painting, and save the result as a style file.

    Ctrl-C stops after the current step and saves the style at that point.

    For example:

        metastyle adapt painting.jpg
        metastyle adapt painting.jpg -o styles/
        metastyle adapt a.jpg -o a.safetensors --effort draft
        metastyle adapt a.jpg -o b.safetensors --effort fine --from a.safetensors
        metastyle adapt painting.jpg --content holiday/ --preview holiday/beach.jpg
        metastyle adapt painting.jpg --style-size 256    # smaller strokes

    Args:
        painting: Any picture, or - for stdin.
        output: The style file, or a folder for PAINTING.safetensors; by default next to the painting.
        overwrite: Replace an existing style file or preview.
        from_: Start from this style, such as a draft of the same painting.
        preview: Repaint this photograph every few seconds during the adaptation.
        preview_output: The preview's file; by default STYLE-preview.jpg next to the style.
        batch: The former name of --content-batch.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    check_is_file(painting)
    out = _style_path(painting, output)
    check_output(out, overwrite=overwrite)
    preview_out = _preview_output(preview, preview_output, out, overwrite=overwrite)
    if from_ is not None:
        check_is_file(from_)
    settings = adaptation.settings(device) if batch is None else adaptation.settings(device, batch=batch)
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

        adapter = Adapter(settings, sources, device, display)
        prepared = adapter.adapt_to(painting, on_step=on_step, start=from_)
        out.parent.mkdir(parents=True, exist_ok=True)
        prepared.style.save(out, overwrite=overwrite)
    return _outcome(prepared, out, last)


def _outcome(prepared: Prepared, out: Path, last: AdaptationStep | None) -> Outcome:
    interrupted = last is not None and last.step < last.steps
    how = "cached by an earlier call" if prepared.how == "cached" else seconds(prepared.seconds)
    lines = [f"{out}  {len(prepared.style.curve)} steps  {how}"]
    problems = []
    if interrupted and last is not None:
        problems = [f"stopped after step {last.step} of {last.steps}; {out} has the style at that point"]
    else:
        lines.append(f"now: metastyle stylize PHOTO --style {out}")
    return Outcome(
        "adapt",
        outputs=[{"output": out}],
        details={"style": prepared.record(), "interrupted": interrupted},
        lines=lines,
        problems=problems,
        code=INTERRUPTED if interrupted else DONE,
    )


def _style_path(painting: Path, output: str | None) -> Path:
    """The style file: ``output``, or one named like the painting, in the folder ``output`` or next to it.

    Raises:
        MetastyleError: the painting has no name, or ``output`` is not a style file's name.
    """
    if output is not None and not is_folder(output):
        path = Path(output)
        if path.suffix.lower() != STYLE_SUFFIX:
            raise MetastyleError(f"{path}: a style file's name ends in {STYLE_SUFFIX}, a folder's in /")
        return path
    if is_nameless(painting):
        raise MetastyleError("a painting from a pipe has no name: add -o STYLE.safetensors")
    return (painting.parent if output is None else Path(output)) / (Part(painting).name + STYLE_SUFFIX)


def _preview_output(preview: Path | None, given: Path | None, out: Path, *, overwrite: bool) -> Path | None:
    if preview is None:
        if given is not None:
            raise MetastyleError("--preview-output needs --preview PHOTO: which photograph to repaint")
        return None
    check_is_file(preview)
    path = given if given is not None else out.with_name(out.stem + "-preview.jpg")
    check_picture_output(path, overwrite=overwrite)
    return path
