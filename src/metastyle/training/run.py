"""``metastyle.train``: meta-training in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metastyle.core.loss_network import LossNetwork
from metastyle.training import meta
from metastyle.training.config import TrainingConfig
from metastyle.training.config_file import load_config
from metastyle.training.events import Finished, TrainingEvent
from metastyle.weights.vgg16 import load_loss_network


def train(
    content: str | Path,
    style: str | Path,
    *,
    config: str | Path = "cpu",
    output: str | Path | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    settings: Mapping[str, Any] | None = None,
    loss_network: str | Path | LossNetwork | None = None,
    device: str = "auto",
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> Path | None:
    """Meta-train the initialization of all adaptations; a run found in the output folder is resumed.

    SIGTERM or Ctrl-C end the run after the current iteration, with everything saved; the same call resumes.

    Args:
        content: Folder of photographs or of tar shards, or one shard.
        style: The same for paintings.
        config: A preset (cpu, gpu, paper, smoke), or a TOML file.
        output: Folder of the run; None takes that of the configuration.
        minutes: Length of the training in minutes.
        iterations: Length in iterations; if both are given, the run ends at the earlier one.
        settings: Any settings of the configuration, such as ``{"optimizer.learning_rate": 5e-4}``.
        loss_network: VGG-16, or a file with its weights; None finds or fetches them.
        device: auto, cpu, cuda or cuda:N.
        on_event: Called with every event (``metastyle.training.events``).

    Returns:
        The weights file; None in all processes but the first.

    Raises:
        MetastyleError: a setting or a folder of pictures is unusable, the checkpoint belongs to another run,
            or 50 gradients in a row are not finite.
    """
    made = configured(content, style, config, output, minutes, iterations, settings or {}, device)
    if isinstance(loss_network, (str, Path)):
        loss_network = load_loss_network(Path(loss_network))
    last: TrainingEvent | None = None
    for last in meta.train(made, loss_network=loss_network):
        if on_event is not None:
            on_event(last)
    return last.weights if isinstance(last, Finished) else None


def configured(
    content: str | Path,
    style: str | Path,
    config: str | Path,
    output: str | Path | None,
    minutes: float | None,
    iterations: int | None,
    settings: Mapping[str, Any],
    device: str,
    *,
    options: Mapping[str, str] | None = None,
) -> TrainingConfig:
    """The configuration of ``train`` with these arguments.

    ``options`` says how errors refer to a setting, as for ``load_config``.
    """
    overrides: dict[str, object] = {"data.contents": str(content), "data.styles": str(style)}
    given = {"run.output": output and str(output), "run.minutes": minutes, "run.iterations": iterations}
    overrides |= {name: value for name, value in given.items() if value is not None}
    if device != "auto":
        overrides["run.device"] = device
    return load_config(config, overrides | dict(settings), options=options)
