"""Training of the unpublished parts of compared systems, as tasks of the training loop.

A run is a folder with ``NAME.safetensors``, the current weights, ``NAME.state``, from which the same call
resumes, and ``NAME.metrics.jsonl``. The data of an iteration are a function of the seed and its number.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from lightning_fabric import Fabric
from torch import Tensor, nn

from metastyle.core import checks
from metastyle.core.checks import SettingError
from metastyle.core.device import compute_dtype, pick_device
from metastyle.core.settings import Count, Positive, Seed
from metastyle.core.surroundings import each_step
from metastyle.systems import avatar_net, johnson, shen, style_swap, wct
from metastyle.systems.objective import Networks, Objective, Start
from metastyle.systems.weights import read_trained, save_trained, trained_path
from metastyle.training import loop
from metastyle.training.config import DataConfig, OptimizerConfig, RunConfig
from metastyle.training.data import Episode, Episodes, Request, Split
from metastyle.training.events import Preparing, TrainingEvent
from metastyle.training.processes import launch
from metastyle.training.sources import find_pictures
from metastyle.training.target_cache import StyleTargets, TargetCache, to_unit_range
from metastyle.training.task import Loss, Record, Task
from metastyle.weights.tensor_files import tensor_digest

PARTS: dict[str, type[Objective]] = {
    **{wct.part(level): wct.Reconstruction for level in reversed(wct.LEVELS)},
    wct.START: wct.FeatureReconstruction,
    style_swap.PART: style_swap.Inversion,
    avatar_net.PART: avatar_net.Reconstruction,
    shen.PART: shen.MetaLearning,
    johnson.PART: johnson.OneStyleLearning,
}
"""The parts that can be trained."""

LARGEST_PAINTING = 512
"""Largest long edge of a described painting."""

_SIDES = (384, 384)  # shorter side of described paintings: as paintings of LARGEST_PAINTING usually have it
_WARM_UP = 0.01
_FREE_TO_CHANGE = frozenset(
    {"contents", "styles", "output", "iterations", "minutes", "device", "workers", "save_minutes"}
)


@dataclass(frozen=True)
class Settings(checks.Settings):
    """The settings of a run, which ends after ``iterations`` or ``minutes``, whichever comes first.

    Raises:
        SettingError: a value has the wrong type or is out of range, or no length is given.
    """

    part: str
    """One of ``PARTS``."""
    contents: str
    """Folder of photographs or of tar shards, or one shard."""
    styles: str
    """The same for paintings; for Johnson et al. the one painting."""
    output: str = "runs/baselines"
    """Folder of the weights and the checkpoint."""
    iterations: Count | None = None
    """Length in iterations."""
    minutes: Positive | None = None
    """Length in minutes of training."""
    crop: Annotated[int, Ge(32), Le(2048), MultipleOf(16)] = 256
    """Side of the square crops of pictures."""
    batch: Annotated[int, Ge(1), Le(1024)] | None = None
    """Photographs per batch; None is the published number."""
    learning_rate: Annotated[float, Gt(0), Lt(1)] | None = None
    """Highest learning rate, which falls along a cosine; None is the published one, Adam's."""
    optimizer: Literal["adam", "muon"] = "adam"
    """adam as published, or muon for all kernels except the last, which makes short trainings better."""
    init: str | None = None
    """File of this part's weights to start from, of an earlier run."""
    from_scratch: bool = False
    """Start from random weights, not from AdaIN's decoder (Shen et al.: not from theta)."""
    seed: Seed = 0
    """Random seed."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: Annotated[int, Ge(0)] = 2
    """Processes that decode pictures; they do not change the result."""
    save_minutes: Positive = 5.0
    """Minutes between checkpoints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in PARTS:
            raise SettingError("part", self.part, f"one of {', '.join(PARTS)}")
        if self.iterations is None and self.minutes is None:
            raise SettingError("minutes", None, "a length, or iterations")
        if self.init is not None and self.from_scratch:
            raise SettingError("init", self.init, "weights or a random start, not both")
        if self.optimizer == "muon" and PARTS[self.part].muon_rate is None:
            raise SettingError("optimizer", "muon", f"adam for {self.part}")


@each_step
def train(settings: Settings, networks: Networks | None = None) -> Generator[TrainingEvent, None, None]:
    """Train one part; a checkpoint found in the output folder is resumed.

    SIGTERM or Ctrl-C end the run after the current iteration, with everything saved. ``networks`` that are
    passed in are moved to the device, except VGG-16, which is copied.

    Raises:
        MetastyleError: there are no pictures or published weights, the checkpoint belongs to another run, or
            50 gradients in a row are not finite.
    """
    objective = PARTS[settings.part]
    device = pick_device(settings.device)
    dtype = compute_dtype(device) if objective.precision == "native" else torch.float32
    fabric = launch(settings.device, "bfloat16" if dtype == torch.bfloat16 else "float32")
    task = SystemTask(settings, fabric, dtype, networks or Networks())
    run = RunConfig(
        settings.output, settings.iterations, settings.minutes, save_minutes=settings.save_minutes
    )
    yield from loop.train(task, fabric, task.optimizer, run)


class SystemTask(Task[tuple[Tensor, Tensor, list[Any]]]):
    """The training of one part of a system on crops of photographs and the other inputs of its objective."""

    module: Objective

    def __init__(self, settings: Settings, fabric: Fabric, dtype: torch.dtype, networks: Networks) -> None:
        self.device, self.run_settings = fabric.device, settings
        kind = PARTS[settings.part]
        self.pictures = self._pictures(kind)  # before any download
        styles = Path(settings.styles)
        start = Start(settings.part, styles, self.device, dtype, settings.from_scratch, networks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.module = kind.begin(start)
        digest: str | None = None
        self.before: dict[str, Any] | None = None
        if settings.init is not None:
            digest, self.before = self._load(settings.init)
        self.learned = self.module.learned.train()
        self.parameters = {name: p for name, p in self.learned.named_parameters() if p.requires_grad}
        self.rate_factors = {}
        kernels = [name for name, p in self.learned.named_parameters() if p.dim() == 4]
        self.hidden = frozenset(kernels[:-1] if kind.muon_rate else ()) & self.parameters.keys()

        batch = settings.batch or kind.batch_size
        self.optimizer = OptimizerConfig(
            kind=settings.optimizer,
            muon_rate=kind.muon_rate or 1.0,
            styles=1,
            contents=batch,
            queries=batch,
            learning_rate=settings.learning_rate or kind.learning_rate,
            schedule="cosine",
            warm_up=_WARM_UP,
        )
        self.cache = Path(settings.output) / "cache"
        precision = str(compute_dtype(self.device)).removeprefix("torch.")
        self.targets = TargetCache(self.cache / f"styles-{precision}")

        def describe(picture: Tensor) -> Any:
            with fabric.autocast():
                return self.module.describe(picture)

        self.target = StyleTargets(describe, self.device)
        self.settings = dataclasses.asdict(settings) | {"init": digest}
        self.defaults = {"optimizer": "adam", "init": None}
        self.free_to_change = _FREE_TO_CHANGE
        self.digest = self.pictures.digest
        if self.module.fingerprint:
            both = f"{self.digest} {self.module.fingerprint}"
            self.digest = hashlib.sha256(both.encode()).hexdigest()
        self.photographs = len(self.pictures.outer)
        self.paintings = len(self.pictures.inner) + len(self.pictures.styles) or 1
        self.workers, self.stem = settings.workers, self.module.name

    def _load(self, path: str) -> tuple[str, dict[str, Any]]:
        """Start from the weights in a file; returns their digest and the lengths of their training."""
        tensors, about = read_trained(self.module.learned, self.module.name, Path(path))
        self.module.learned.load_state_dict(tensors)
        before = about.get("before", {})
        lengths = {name: before.get(name, 0) + about.get(name, 0) for name in ("iteration", "seconds")}
        return tensor_digest(tensors), lengths

    def _pictures(self, kind: type[Objective]) -> Split:
        """Crops of photographs are an episode's queries; crops of paintings, if requested, its contents."""
        photos = find_pictures(self.run_settings.contents)
        paintings = [] if kind.sees == "nothing" else find_pictures(self.run_settings.styles)
        crops, described = (paintings, []) if kind.sees == "paintings" else ([], paintings)
        return Split(crops, photos, described, [], [])

    def episodes(self, rank: int, world_size: int) -> Episodes:
        """Random crops, of random size."""
        s = self.run_settings
        data = DataConfig(
            s.contents,
            s.styles,
            s.crop,
            scale="random",
            mirror=True,
            style_side=_SIDES,
            style_cap=LARGEST_PAINTING,
        )
        return Episodes(
            self.pictures,
            data,
            self.optimizer,
            s.seed,
            self.targets,
            self.cache / "photos",
            rank,
            world_size,
        )

    def crop(self, progress: float) -> int:
        """The same during the whole run."""
        return self.run_settings.crop

    def batches(self, episode: Episode, progress: float) -> list[tuple[Tensor, Tensor, list[Any]]]:
        """One batch: photographs, crops of paintings, described paintings."""
        photos = to_unit_range(episode.queries, self.device)
        crops = to_unit_range(episode.contents, self.device)
        return [(photos, crops, [self.target(painting) for painting in episode.paintings])]

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor, list[Any]]) -> Loss:
        """The sum of the objective's parts."""
        parts = module(*batch)
        return Loss(torch.stack(list(parts.values())).sum(), parts)

    def prepare(self) -> Iterator[Preparing]:
        """Fit the initialization to the pictures of the first iterations."""
        if self.run_settings.from_scratch or self.before or not self.module.fit_batches:
            return
        yield Preparing("the start", 0, 1)
        episodes, crop = self.episodes(0, 1), self.run_settings.crop
        requests = (Request(index, crop) for index in range(self.module.fit_batches))
        shown = (self.batches(episodes[request], 0.0)[0] for request in requests)
        self.module.fit([torch.cat([photos, crops]) for photos, crops, _ in shown])

    def write(self, learned: nn.Module, record: Record) -> Path:
        """Write the weights with the settings of their training, without paths on this machine."""
        places = ("contents", "styles", "output")
        about = {
            "settings": {name: value for name, value in self.settings.items() if name not in places},
            "iteration": record.iteration,
            "losses": record.losses,
            "seconds": round(record.seconds),
            "photographs": self.photographs,
            "paintings": self.paintings,
        } | ({"before": self.before} if self.before else {})
        path = trained_path(self.stem, Path(self.run_settings.output))
        save_trained(learned, self.stem, path, about)
        return path
