"""The outer level: gradient over paintings and processes, clipping, Adam, moving average. No files."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import lightning_fabric
import torch
from torch import Tensor
from torch.nn import functional as F

from metastyle.core.bilevel import MetaObjective
from metastyle.core.grain import add_grain
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, balanced_style_weight
from metastyle.core.network import idle_parameters
from metastyle.errors import MetastyleError
from metastyle.training.checkpoint import adam_steps, adam_tensors, prefixed, restore_adam, under
from metastyle.training.config import TrainingConfig
from metastyle.training.loss_scale import PhotoGrams
from metastyle.training.schedule import average_decay, rate_factor, style_weight_factor
from metastyle.training.spike_penalty import PeakPenalty

TOO_MANY_SKIPPED = 50


class Learner:
    """What is learned, and how.

    Attributes:
        initialization: theta and Psi, as Adam moves them.
        average: their moving average, what is validated and shipped; the same object where there is none.
        photos: the per-style normalization, None where styles are not normalized.
        skipped: updates left out so far because the gradient was not finite.
    """

    def __init__(
        self,
        config: TrainingConfig,
        fabric: lightning_fabric.Fabric,
        initialization: Initialization,
        loss_network: LossNetwork,
    ) -> None:
        self.config, self.fabric = config, fabric
        self.initialization = initialization.to(fabric.device)
        initialization.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        idle = idle_parameters(initialization.network)
        for name, parameter in initialization.network.named_parameters():
            parameter.requires_grad_(name not in idle)
        objective = config.objective
        self.objective = MetaObjective(
            initialization,
            loss_network,
            inner_steps=objective.inner_steps,
            inner_parameters=objective.inner_parameters,
            step_size=objective.step_size,
            learn_step_sizes=objective.learn_step_sizes,
            second_order=objective.second_order,
            grain=objective.grain,
            content_weight=objective.content_weight,
            style_weight=objective.style_weight,
        ).to(fabric.device)
        self.parameters = {n: p for n, p in self.objective.named_parameters() if p.requires_grad}
        factors = {"log_step_sizes": config.optimizer.step_size_rate}
        factors |= dict.fromkeys(
            [n for n in self.parameters if n.startswith("initialization.predictor.")],
            config.optimizer.predictor_rate,
        )
        by_factor: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            by_factor.setdefault(factors.get(name, 1.0), []).append(parameter)
        groups = [{"params": members, "factor": factor} for factor, members in by_factor.items()]
        self.adam = torch.optim.Adam(groups, lr=config.optimizer.rate)
        self.average = copy.deepcopy(initialization) if config.optimizer.average else initialization
        self.peaks = PeakPenalty(initialization.network) if objective.peak_weight else None
        self.photos: PhotoGrams | None = None
        self.rate = 0.0
        self.skipped = self.skipped_running = 0

    def begin(self) -> None:
        """After the start, or a saved state, is in place: let Fabric wrap the objective."""
        self.wrapped = self.fabric.setup_module(self.objective)

    def set_rates(self, progress: float) -> None:
        """Adam's rates, the style weight and, under the paper's schedule, the inner level's delta."""
        optimizer, objective = self.config.optimizer, self.config.objective
        self.rate = optimizer.rate * rate_factor(optimizer.schedule, progress, optimizer.warm_up)
        for group in self.adam.param_groups:
            group["lr"] = self.rate * group["factor"]
        ramp = style_weight_factor(progress, objective.reconstruct, objective.style_ramp)
        self.objective.weights = (objective.content_weight, ramp * objective.style_weight)
        if optimizer.schedule == "paper" and not objective.learn_step_sizes:
            delta = objective.step_size * rate_factor("paper", progress)
            self.objective.log_step_sizes.data.fill_(math.log(delta))

    def reconstruction_gradient(self, photos: Tensor, seed: int = 0) -> tuple[list[float], float]:
        """As ``gradient``, of the squared error between M(I_c; theta) and I_c with mean 0.5, deviation 0.22.

        Instance normalization forgets a picture's own mean and contrast; asked for them, the network
        would smuggle them through a spike somewhere in the picture. All processes see the same photographs,
        so there is nothing to synchronize.
        """
        self.adam.zero_grad()
        mean, deviation = photos.mean((2, 3), keepdim=True), photos.std((2, 3), keepdim=True)
        wanted = (0.5 + 0.22 * (photos - mean) / (deviation + 0.02)).clamp(0.02, 0.98)
        with self.fabric.autocast():
            pictures = self.initialization.network(add_grain(photos, self.config.objective.grain, seed=seed))
        loss = F.mse_loss(pictures.float(), wanted)
        self.fabric.backward(self._without_peaks(loss, 1))
        return [loss.item(), loss.item(), 0.0], self._clip()

    def gradient(
        self, contents: Tensor, targets: Sequence[StyleTarget], queries: Tensor, seed: int = 0
    ) -> tuple[list[float], float]:
        """Fill the parameters' gradients; returns total, content and style loss, and the gradient's norm.

        Both are means over the paintings of all processes. ``targets`` are this process's; they go through
        the objective in groups of ``styles_at_once``, and processes synchronize once, with the last group.
        """
        size = self.config.optimizer.styles_at_once or len(targets)
        losses = torch.zeros(3, dtype=torch.float32, device=self.fabric.device)
        self.adam.zero_grad()
        for first in range(0, len(targets), size):
            group = targets[first : first + size]
            share = len(group) / len(targets)
            more = first + size < len(targets)
            with self.fabric.no_backward_sync(self.wrapped, enabled=more):
                scales, style_weights = self._balance(group)
                loss = self.wrapped(contents, group, queries, scales, style_weights, seed)
                self.fabric.backward(self._without_peaks(loss.total, self.objective.inner_steps + 1) * share)
            losses += torch.stack(loss).detach() * share
        if self.fabric.world_size > 1:
            losses = self.fabric.all_reduce(losses, reduce_op="mean")
        return losses.tolist(), self._clip()

    def _without_peaks(self, loss: Tensor, passes: int) -> Tensor:
        """``loss`` and, where it is asked for, the penalty on spikes in the pictures that led to it."""
        if self.peaks is None:
            return loss
        return loss + self.config.objective.peak_weight * self.peaks.collect(passes)

    def _clip(self) -> float:
        clip = self.config.optimizer.clip
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), math.inf if clip is None else clip)
        return norm.item()

    def _balance(self, targets: Sequence[StyleTarget]) -> tuple[Tensor | None, Tensor]:
        """What divides each painting's loss, and what multiplies its beta."""
        objective = self.config.objective
        factors = torch.stack([balanced_style_weight(target, objective.balance) for target in targets])
        if self.photos is None:
            return None, factors
        weight = objective.style_weight
        untouched = torch.stack([self.photos.expected_loss(target, weight) for target in targets])
        return untouched * factors, factors

    def update(self, iteration: int, norm: float) -> bool:
        """One step of Adam and of the average; False where the gradient is not finite and nothing is done."""
        if not math.isfinite(norm):
            self.skipped += 1
            self.skipped_running += 1
            if self.skipped_running == TOO_MANY_SKIPPED:
                raise MetastyleError(
                    f"the gradient was not finite {TOO_MANY_SKIPPED} times running, until iteration "
                    f"{iteration}: use a smaller optimizer.rate or objective.step_size, or set optimizer.clip"
                )
            return False
        self.skipped_running = 0
        self.adam.step()
        if self.average is not self.initialization:
            decay = average_decay(self.config.optimizer.average, iteration)
            with torch.no_grad():
                for mean, p in zip(self.average.parameters(), self.initialization.parameters(), strict=True):
                    mean.lerp_(p, 1 - decay)
        return True

    @property
    def step_sizes(self) -> dict[str, float]:
        """The inner level's delta of each moved tensor."""
        return dict(zip(self.objective.moved, self.objective.log_step_sizes.exp().tolist(), strict=True))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and numbers that ``restore`` goes on from, to the bit."""
        tensors = prefixed("model", self.initialization.state_dict())
        tensors["log_step_sizes"] = self.objective.log_step_sizes.detach()
        tensors |= adam_tensors(self.adam, self.parameters)
        if self.average is not self.initialization:
            tensors |= prefixed("average", self.average.state_dict())
        if self.photos is not None:
            tensors |= prefixed("photos", {str(k): mean for k, mean in enumerate(self.photos.means)})
        return tensors, {
            "adam_steps": adam_steps(self.adam, self.parameters),
            "photo_variance": None if self.photos is None else self.photos.variance,
            "skipped": self.skipped,
            "skipped_running": self.skipped_running,
        }

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self.initialization.load_state_dict(under("model", tensors))
        self.objective.log_step_sizes.data.copy_(tensors["log_step_sizes"])
        restore_adam(self.adam, self.parameters, tensors, numbers["adam_steps"])
        if self.average is not self.initialization:
            self.average.load_state_dict(under("average", tensors))
        means = under("photos", tensors)
        if means:
            ordered = tuple(means[str(k)].to(self.fabric.device) for k in range(len(means)))
            self.photos = PhotoGrams(ordered, numbers["photo_variance"])
        self.skipped, self.skipped_running = numbers["skipped"], numbers["skipped_running"]
