"""Meta-training: the bilevel problem of ``core/bilevel.py`` as a task of the training loop."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.bilevel import MetaObjective
from metastyle.core.grain import add_grain
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, style_target
from metastyle.core.network import hidden_kernels, idle_parameters
from metastyle.core.quick import quick_network
from metastyle.core.surroundings import each_step
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.training import loop
from metastyle.training.config import FREE_TO_CHANGE, TrainingConfig
from metastyle.training.config_file import check_length, flat_values, to_values, without_places
from metastyle.training.data import Episode, Episodes, split
from metastyle.training.events import Preparing, TrainingEvent
from metastyle.training.loss_scale import PhotoGrams, scales
from metastyle.training.processes import launch, launched
from metastyle.training.schedule import rate_factor, style_weight_factor
from metastyle.training.spike_penalty import SpikePenalty
from metastyle.training.start import measure_paintings, measure_photos, new_initialization
from metastyle.training.target_cache import StyleTargets, TargetCache, to_unit_range
from metastyle.training.task import Loss, Record, Task, Validation
from metastyle.training.validation import ValidationSet, validate, validation_set
from metastyle.weights.initialization import save_initialization
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16 import load_loss_network


@each_step
def train(
    config: TrainingConfig, *, loss_network: LossNetwork | None = None
) -> Generator[TrainingEvent, None, None]:
    """Meta-train as configured, in ``config.run.output``; a checkpoint found there is resumed.

    The folder gets ``state.safetensors``, ``metastyle.safetensors`` (the weights so far, float16),
    ``metrics.jsonl``, ``config.json`` and ``samples/``. SIGTERM or Ctrl-C end the run after the current
    iteration, with everything saved. If torchrun started several processes, only the first yields events and
    writes files, but all must iterate. ``run.threads`` sets torch's threads for the whole process.

    Args:
        config: all settings.
        loss_network: VGG-16; None finds or fetches its weights. It is not changed.

    Raises:
        MetastyleError: a setting or a folder of pictures is unusable, the checkpoint belongs to another run,
            or 50 gradients in a row are not finite.
    """
    check_length(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    here, everywhere = launched()
    if config.optimizer.styles % everywhere:
        raise MetastyleError(
            f"optimizer.styles = {config.optimizer.styles}: use a multiple of the {everywhere} processes"
        )
    fabric = launch(config.run.device, config.run.precision, here, everywhere)
    task = MetaTask(config, fabric, loss_network or load_loss_network())
    yield from loop.train(task, fabric, config.optimizer, config.run)


class MetaBatch(NamedTuple):
    """Some of an iteration's paintings, and all of its photographs."""

    contents: Tensor
    """(B, 3, n, n) in [0, 1], for the inner level."""
    queries: Tensor
    """(B', 3, n, n) in [0, 1], for the outer level."""
    targets: list[StyleTarget]
    """Empty while theta learns to reconstruct photographs."""
    share: float
    """Share of the iteration's paintings, 0 to 1."""
    seed: int
    """Seed of the grain."""


class MetaTask(Task[MetaBatch]):
    """theta and Psi, learned by the outer level.

    Attributes:
        photos: the per-style normalization; None if styles are not normalized.
    """

    learned: Initialization
    module: MetaObjective

    def __init__(self, config: TrainingConfig, fabric: Fabric, loss_network: LossNetwork) -> None:
        self.config, self.fabric, self.device = config, fabric, fabric.device
        data, objective, run = config.data, config.objective, config.run
        self.pictures = split(data, objective.inner_steps)
        dtype = torch.bfloat16 if run.precision == "bfloat16" else torch.float32
        self.loss_network = loss_network.prepared(dtype).to(self.device)
        cache = Path(data.cache) if data.cache else Path(run.output) / "cache"
        digest = tensor_digest(loss_network.state_dict())
        self.cache = TargetCache(cache / f"styles-{digest[:12]}-{run.precision}")
        self.photo_folder = cache / "photos"
        self.target = StyleTargets(self._describe, self.device)

        self.learned, self.unmeasured = new_initialization(config)
        self.learned.to(self.device)
        if self.device.type == "cpu" and not objective.inner_steps:  # which would need second derivatives
            self.learned.network = quick_network(self.learned.network, dtype)
        else:
            self.learned.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        idle = idle_parameters(self.learned.network)
        for name, parameter in self.learned.network.named_parameters():
            parameter.requires_grad_(name not in idle)
        self.module = MetaObjective(
            self.learned,
            self.loss_network,
            inner_steps=objective.inner_steps,
            inner_parameters=objective.inner_parameters,
            step_size=objective.step_size,
            learn_step_sizes=objective.learn_step_sizes,
            second_order=objective.second_order,
            grain=objective.grain,
            geometric=objective.average == "geometric",
            content_weight=objective.content_weight,
            style_weight=objective.style_weight,
        ).to(self.device)
        self.spikes = SpikePenalty(self.learned.network) if objective.spike_weight else None
        self.photos: PhotoGrams | None = None

        self.parameters = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        self.hidden = frozenset(
            f"initialization.network.{name}" for name in hidden_kernels(self.learned.network)
        )
        self.rate_factors = {"log_step_sizes": config.optimizer.step_size_rate}
        self.rate_factors |= {
            name: config.optimizer.predictor_rate
            for name in self.parameters
            if name.startswith("initialization.predictor.")
        }
        self.settings, self.defaults = flat_values(config), flat_values(TrainingConfig())
        self.free_to_change = FREE_TO_CHANGE
        self.digest = self.pictures.digest
        self.photographs, self.paintings = self.pictures.contents, len(self.pictures.styles)
        self.workers, self.stem = data.workers, ""

    # ---- an iteration

    def episodes(self, rank: int, world_size: int) -> Episodes:
        """Every ``world_size``-th painting, starting at ``rank``; all processes get the same photographs."""
        config = self.config
        return Episodes(
            self.pictures,
            config.data,
            config.optimizer,
            config.run.seed,
            self.cache,
            self.photo_folder,
            rank,
            world_size,
        )

    def crop(self, progress: float) -> int:
        """Small photographs first, then ``data.late_crop``."""
        data = self.config.data
        late = data.late_crop is not None and progress >= data.late_from
        return data.late_crop if late and data.late_crop is not None else data.crop

    def batches(self, episode: Episode, progress: float) -> list[MetaBatch]:
        """Groups of ``optimizer.styles_at_once`` paintings; no paintings while theta reconstructs."""
        self._set_weights(progress)
        contents = to_unit_range(episode.contents, self.device)
        queries = to_unit_range(episode.queries, self.device)
        seed = 2 * episode.index
        if progress < self.config.objective.reconstruct:
            return [MetaBatch(contents, queries, [], 1.0, seed)]
        targets = [self.target(painting) for painting in episode.paintings]
        size = self.config.optimizer.styles_at_once or len(targets)
        groups = [targets[first : first + size] for first in range(0, len(targets), size)]
        return [MetaBatch(contents, queries, group, len(group) / len(targets), seed) for group in groups]

    def loss(self, module: nn.Module, batch: MetaBatch) -> Loss:
        """The outer level's loss, normalized for each painting, and the penalty on spikes."""
        if not batch.targets:
            return self._reconstruction(batch)
        divisors, style_weights = scales(batch.targets, self.photos, self.config.objective)
        loss = module(batch.contents, batch.targets, batch.queries, divisors, style_weights, batch.seed)
        total = self._with_spike_penalty(loss.total, self.module.inner_steps + 1)
        parts = {"content": loss.content * batch.share, "style": loss.style * batch.share}
        return Loss(total * batch.share, parts)

    def _set_weights(self, progress: float) -> None:
        """Set alpha and beta, and with the paper's schedule the inner level's delta."""
        optimizer, objective = self.config.optimizer, self.config.objective
        ramp = style_weight_factor(progress, objective.reconstruct, objective.style_ramp)
        self.module.weights = (objective.content_weight, ramp * objective.style_weight)
        if optimizer.schedule == "paper" and not objective.learn_step_sizes:
            delta = objective.step_size * rate_factor("paper", progress)
            self.module.log_step_sizes.data.fill_(math.log(delta))

    def _reconstruction(self, batch: MetaBatch) -> Loss:
        """The squared error between M(I_c; theta) and I_c with mean 0.5 and deviation 0.22.

        Instance normalization discards a picture's mean and contrast. If the loss asked for them, the network
        would pass them on through a spike somewhere in the picture. All processes see the same photographs,
        so there is nothing to synchronize.
        """
        photos = batch.queries
        mean, deviation = photos.mean((2, 3), keepdim=True), photos.std((2, 3), keepdim=True)
        wanted = (0.5 + 0.22 * (photos - mean) / (deviation + 0.02)).clamp(0.02, 0.98)
        with self.fabric.autocast():
            grainy = add_grain(photos, self.config.objective.grain, seed=batch.seed)
            pictures = self.learned.network(grainy)
        loss = F.mse_loss(pictures.float(), wanted)
        return Loss(self._with_spike_penalty(loss, 1), {"content": loss, "style": torch.zeros_like(loss)})

    def _with_spike_penalty(self, loss: Tensor, passes: int) -> Tensor:
        """``loss`` plus the penalty on spikes in the pictures behind it, if there is one."""
        if self.spikes is None:
            return loss
        return loss + self.config.objective.spike_weight * self.spikes.collect(passes)

    # ---- preparation and validation

    def prepare(self) -> Iterator[Preparing]:
        """Measure the predictor's standardization and the normalization."""
        predictor = self.learned.predictor
        if predictor is not None and self.unmeasured:
            yield from measure_paintings(
                predictor, self.pictures.styles, self.config.data, self.cache, self.target
            )
        if self.config.objective.normalize_styles:
            yield Preparing("photographs", 0, 1)
            self.photos = measure_photos(self.pictures.outer, self.config, self.photo_folder, self._features)

    def validate(self, learned: nn.Module) -> Validation:
        """Zero-step losses on held-out pictures, not normalized."""
        assert isinstance(learned, Initialization)
        objective, held_out = self.config.objective, self._held_out
        return validate(
            learned,
            self.loss_network,
            to_unit_range(held_out.photos, self.device),
            held_out.paintings,
            (objective.content_weight, objective.style_weight),
            objective.grain,
        )

    @cached_property
    def _held_out(self) -> ValidationSet:
        pictures = self.pictures.held_out_contents, self.pictures.held_out_styles
        return validation_set(*pictures, self.config.data, self.cache, self.target)

    def _describe(self, picture: Tensor) -> StyleTarget:
        with self.fabric.autocast():
            return style_target(self.loss_network, picture)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        with torch.no_grad(), self.fabric.autocast():
            return list(self.loss_network(to_unit_range(pictures, self.device)).values())

    # ---- files

    def write(self, learned: nn.Module, record: Record) -> Path:
        """Write ``metastyle.safetensors``, with everything that a model card needs, and ``config.json``."""
        assert isinstance(learned, Initialization)
        config = self.config
        facts: dict[str, Any] = {
            "config": without_places(config),
            "iterations": record.iteration,
            "seconds": round(record.seconds),
            "photographs": self.photographs,
            "paintings": self.paintings,
            "curve": record.curve,
        }
        if config.objective.learn_step_sizes:
            sizes = self.module.log_step_sizes.exp().tolist()
            facts["step_sizes"] = dict(zip(self.module.moved, sizes, strict=True))
        output = Path(config.run.output)
        write_bytes(output / "config.json", json.dumps(to_values(config), indent=2).encode(), overwrite=True)
        path = output / "metastyle.safetensors"
        save_initialization(learned, path, facts, overwrite=True)
        return path

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The inner level's step sizes and the normalization."""
        tensors = {"log_step_sizes": self.module.log_step_sizes.detach()}
        if self.photos is None:
            return tensors, {"photo_variance": None}
        return tensors | self.photos.tensors(), self.photos.numbers()

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""
        self.module.log_step_sizes.data.copy_(tensors["log_step_sizes"])
        self.photos = PhotoGrams.restored(tensors, numbers, self.device) or self.photos
