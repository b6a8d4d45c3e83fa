"""``metastyle train-baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metastyle.cli.options import FLAG, Common, Whole
from metastyle.cli.output import Display, Speaker, seconds
from metastyle.cli.trainings import conclude

if TYPE_CHECKING:
    from metastyle.systems.train import Event


def train_baseline(
    name: Annotated[str, Parameter(metavar="NAME")],
    /,
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR|PAINTING")],
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("runs/baselines"),
    minutes: float | None = None,
    iterations: Whole | None = None,
    crop: Annotated[Whole, Parameter(metavar="PIXELS")] = 256,
    batch: Whole | None = None,
    rate: float | None = None,
    from_scratch: Annotated[bool, FLAG] = False,
    seed: Whole = 0,
    workers: Whole = 2,
    save_minutes: float = 5.0,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> int:
    """Train a part of a system that MetaStyle is compared with.

    AdaIN's weights are published and fetched; the decoders of WCT, Style-Swap
    and Avatar-Net, the network of Shen et al. and the networks of Johnson et
    al., one for each painting, are trained here. The state is saved as it goes
    and when Ctrl-C stops the run; the same command again goes on from there.

    For example:

        metastyle train-baseline wct-3 --content a/ --style b/ --minutes 60
        metastyle train-baseline johnson --content a/ --style waves.jpg --minutes 60
        metastyle train-baseline shen --content a/ --style b/ --iterations 90000

    Args:
        name: wct-1 to wct-5, style-swap, avatar-net, shen or johnson.
        content: Folder of photographs, or of tar shards of them, or one shard.
        style: The same for paintings; for johnson, the one painting.
        output: Folder of the weights and the state.
        minutes: Length of the training in minutes.
        iterations: Length in iterations; with both, whichever ends first.
        crop: Side of the squares that are cut out of pictures, a multiple of 16.
        batch: Photographs in a batch; without it, the published number.
        rate: Adam's rate at the start; without it, the published one.
        from_scratch: Begin with random numbers, not with AdaIN's published decoder (shen: not with
            the shipped model's filters).
        seed: Of everything random.
        workers: Processes that decode pictures; they do not change the result.
        save_minutes: Minutes between saved states.
        device: auto, cpu, cuda or cuda:N.
    """
    from metastyle.systems import train as training
    from metastyle.training.events import Finished

    settings = training.Settings(
        part=name,
        contents=str(content),
        styles=str(style),
        output=str(output),
        iterations=iterations,
        minutes=minutes,
        crop=crop,
        batch=batch,
        rate=rate,
        from_scratch=from_scratch,
        seed=seed,
        device=device,
        workers=workers,
        save_minutes=save_minutes,
    )
    losses: dict[str, float] = {}
    last: Event | None = None
    with Display(common.quiet) as display:
        for last in training.train(settings):
            if isinstance(last, training.Step):
                losses = last.losses
            _show(last, display)
    assert isinstance(last, Finished)
    return conclude("train-baseline", last, Speaker(common.json, common.quiet), losses=losses)


def _show(event: Event, display: Display) -> None:
    from metastyle.systems.train import Step
    from metastyle.training.events import Started

    match event:
        case Started():
            display.note(
                f"{event.contents} photographs, {event.styles or 'one'} painting(s) on {event.device},"
                f" from iteration {event.iteration}: {event.output}"
            )
        case Step():
            parts = "  ".join(f"{name} {loss:.3g}" for name, loss in event.losses.items())
            left = seconds(event.seconds_left)
            display.update("training", event.progress, f"iteration {event.iteration}  {parts}  {left} left")
