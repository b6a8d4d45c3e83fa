"""``metastyle train``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from metastyle.cli.extras import needs
from metastyle.cli.options import Common, Whole
from metastyle.cli.output import Outcome
from metastyle.cli.trainings import follow
from metastyle.errors import MetastyleError


def train(
    *,
    content: Annotated[Path, Parameter(metavar="DIR")],
    style: Annotated[Path, Parameter(metavar="DIR")],
    config: Annotated[str, Parameter(metavar="PRESET|TOML")] = "cpu",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], metavar="DIR")] = None,
    minutes: float | None = None,
    iterations: Whole | None = None,
    change: Annotated[
        list[str] | None, Parameter(name="--set", metavar="NAME=VALUE", negative_iterable="")
    ] = None,
    loss_network: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome | int:
    """Meta-train the initialization from which every adaptation starts.

    A checkpoint is saved every few minutes and when Ctrl-C stops the run; the
    same command resumes from there.

    For example:

        metastyle train --content photos/ --style paintings/ --minutes 60
        metastyle train --content photos/ --style paintings/ --config gpu -o run/
        metastyle train --content photos/ --style paintings/ --config mine.toml
        metastyle train --content a/ --style b/ --set optimizer.learning_rate=5e-4

    On several GPUs: torchrun --nproc-per-node 4 --no-python metastyle train ...

    Args:
        content: Folder of photographs or of tar shards, or one shard.
        style: The same for paintings.
        config: A preset (cpu, gpu, paper, smoke), or a TOML file.
        output: Folder of the run; a run found there is resumed.
        minutes: Length of the training in minutes.
        iterations: Length in iterations; if both are given, the run ends at the earlier one.
        change: Any setting of the configuration, as section.name=value; may be repeated.
        loss_network: A file with VGG-16's weights; by default they are found or downloaded.
        device: auto, cpu, cuda or cuda:N.
    """
    with needs("train", "training"):
        from metastyle.training import meta as trainer
        from metastyle.training.run import configured
        from metastyle.weights.vgg16 import load_loss_network

        changes = dict(map(parse_change, change or ()))
        options = {
            "run.minutes": f"--minutes {minutes or 0:g}",
            "run.iterations": f"--iterations {iterations}",
        }
        options |= {parse_change(text)[0]: f"--set {text}" for text in change or ()}
        settings = configured(
            content, style, config, output, minutes, iterations, changes, device, options=options
        )
        vgg = load_loss_network(loss_network) if loss_network else None
        return follow("train", trainer.train(settings, loss_network=vgg), common)


def parse_change(text: str) -> tuple[str, Any]:
    """``section.name=value``, with a TOML value; quotes around text are optional."""
    name, equals, value = text.partition("=")
    if not equals or name.count(".") != 1:
        raise MetastyleError(f"--set {text}: write section.name=value, such as optimizer.learning_rate=5e-4")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return name.strip(), value.strip()
