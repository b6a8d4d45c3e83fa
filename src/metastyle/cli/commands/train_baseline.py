"""``metastyle train-baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from metastyle.cli.extras import needs
from metastyle.cli.options import FLAG, Common, Whole, naming_options
from metastyle.cli.output import Outcome
from metastyle.cli.trainings import follow

_OPTIONS = {"part": "NAME", "contents": "--content", "styles": "--style"}
"""Settings whose options have other names."""


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
    learning_rate: Annotated[float | None, Parameter(name=["--learning-rate", "--rate"])] = None,
    optimizer: Literal["adam", "muon"] = "adam",
    init: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    from_scratch: Annotated[bool, FLAG] = False,
    seed: Whole = 0,
    workers: Whole = 2,
    save_minutes: float = 5.0,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome | int:
    """Train a part of a system that MetaStyle is compared with.

    AdaIN's published weights are downloaded. The decoders of WCT, Style-Swap and
    Avatar-Net, the network of Shen et al. and the networks of Johnson et al.,
    one per painting, are trained with this command. A checkpoint is saved every
    few minutes and when Ctrl-C stops the run; the same command resumes from
    there.

    For example:

        metastyle train-baseline wct-3 --content a/ --style b/ --minutes 60
        metastyle train-baseline johnson --content a/ --style waves.jpg --minutes 60
        metastyle train-baseline shen --content a/ --style b/ --iterations 90000

    Args:
        name: wct-1 to wct-5, wct-5-start, style-swap, avatar-net, shen or johnson.
        content: Folder of photographs or of tar shards, or one shard.
        style: The same for paintings; for johnson, the one painting.
        output: Folder of the weights and the checkpoint.
        minutes: Length of the training in minutes.
        iterations: Length in iterations; if both are given, the run ends at the earlier one.
        crop: Side of the square crops of pictures, a multiple of 16.
        batch: Photographs per batch; by default the published number.
        learning_rate: The highest learning rate; by default the published one, Adam's.
        optimizer: adam as published, or muon, which gets further in short trainings (not for shen).
        init: Weights of this part from an earlier training, to train further; for wct-5 also those
            of wct-5-start.
        from_scratch: Start from random weights, not from AdaIN's published decoder (shen: not from
            the shipped model's filters).
        seed: Random seed.
        workers: Processes that decode pictures; they do not change the result.
        save_minutes: Minutes between checkpoints.
        device: auto, cpu, cuda or cuda:N.
    """
    with needs("train", "training"), naming_options(_OPTIONS):
        from metastyle.systems import train as training

        settings = training.Settings(
            part=name,
            contents=str(content),
            styles=str(style),
            output=str(output),
            iterations=iterations,
            minutes=minutes,
            crop=crop,
            batch=batch,
            learning_rate=learning_rate,
            optimizer=optimizer,
            init=str(init) if init else None,
            from_scratch=from_scratch,
            seed=seed,
            device=device,
            workers=workers,
            save_minutes=save_minutes,
        )
        return follow("train-baseline", training.train(settings), common)
