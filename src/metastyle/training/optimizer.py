"""The update of the weights: Adam, and Muon for the kernels between hidden layers if it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from metastyle.core.muon import Muon
from metastyle.training.config import OptimizerConfig


class Optimizer:
    """Adam and Muon as one, with their state under the names of the parameters.

    Attributes:
        adam: updates all parameters that Muon does not.
        muon: updates the kernels between hidden layers; None if Adam does.
    """

    def __init__(
        self,
        named: dict[str, nn.Parameter],
        config: OptimizerConfig,
        *,
        hidden: Collection[str] = (),
        rate_factors: Mapping[str, float],
    ) -> None:
        """Choose the optimizer of each parameter.

        Args:
            named: the parameters by name.
            config: ``kind`` and what belongs to it.
            hidden: names of those that Muon may update.
            rate_factors: factors of the learning rate by name, where they are not 1.
        """
        self._named = named
        hidden = hidden if config.kind == "muon" else ()
        by_factor: dict[float, list[nn.Parameter]] = {}
        for name, parameter in named.items():
            if name not in hidden:
                by_factor.setdefault(rate_factors.get(name, 1.0), []).append(parameter)
        groups = [{"params": members, "factor": factor} for factor, members in by_factor.items()]
        self.adam = torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
        self.muon: Muon | None = None
        if hidden:
            kernels = [parameter for name, parameter in named.items() if name in hidden]
            self.muon = Muon(kernels, lr=config.learning_rate, momentum=config.muon_momentum)
            self.muon.param_groups[0]["factor"] = config.muon_rate

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate, which is multiplied by each parameter's own factor."""
        for group in self.adam.param_groups + ([] if self.muon is None else self.muon.param_groups):
            group["lr"] = rate * group["factor"]

    def step(self) -> None:
        """Take one step along the gradients."""
        self.adam.step()
        if self.muon is not None:
            self.muon.step()

    # ---- the state

    def tensors(self) -> dict[str, Tensor]:
        """``first.*`` and ``second.*``, Adam's moments, and ``momentum.*``, Muon's; none before a step."""
        found: dict[str, Tensor] = {}
        for name, parameter in self._named.items():
            if parameter in self.adam.state:
                found[f"first.{name}"] = self.adam.state[parameter]["exp_avg"]
                found[f"second.{name}"] = self.adam.state[parameter]["exp_avg_sq"]
            if self.muon is not None and parameter in self.muon.state:
                found[f"momentum.{name}"] = self.muon.state[parameter]["momentum"]
        return found

    def adam_steps(self) -> dict[str, float]:
        """The number of steps that Adam has taken with each parameter it has updated."""
        state = self.adam.state
        return {name: float(state[p]["step"]) for name, p in self._named.items() if p in state}

    def restore(self, tensors: Mapping[str, Tensor], adam_steps: Mapping[str, float]) -> None:
        """Restore what ``tensors`` and ``adam_steps`` returned; ``tensors`` may hold more.

        The state gets the memory layout that the optimizers themselves would have used.
        """
        fused = {p for group in self.adam.param_groups if group.get("fused") for p in group["params"]}
        for name, parameter in self._named.items():
            if f"first.{name}" in tensors:
                # Fused kernels count steps on the parameter's device, other kernels on the CPU.
                device = parameter.device if parameter in fused else "cpu"
                self.adam.state[parameter] = {
                    "step": torch.tensor(adam_steps[name], dtype=torch.float32, device=device),
                    "exp_avg": _laid_out(tensors[f"first.{name}"], parameter),
                    "exp_avg_sq": _laid_out(tensors[f"second.{name}"], parameter),
                }
            if self.muon is not None and f"momentum.{name}" in tensors:
                self.muon.state[parameter] = {"momentum": _laid_out(tensors[f"momentum.{name}"], parameter)}


def _laid_out(values: Tensor, parameter: nn.Parameter) -> Tensor:
    return torch.empty_like(parameter).copy_(values).detach()
