"""Training the parts of compared systems that are not published: one loop for all lessons.

A run is a folder with ``PART.safetensors``, the weights so far, and ``PART.state``, from which the same call
goes on. What an iteration sees is a function of the seed and its number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metastyle.core.device import compute_dtype, pick_device
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, style_target
from metastyle.errors import MetastyleError
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.systems.adain import load_decoder
from metastyle.systems.avatar_net import PART as AVATAR_NET
from metastyle.systems.avatar_net import Hourglass
from metastyle.systems.beginnings import begin_with, begin_with_initialization
from metastyle.systems.johnson import PART as JOHNSON
from metastyle.systems.johnson import OneStyle
from metastyle.systems.lessons import (
    Batch,
    HourglassReconstruction,
    Lesson,
    MetaLearning,
    OneStyleLearning,
    Reconstruction,
    SwapInversion,
    calibrate_skips,
    fit_last_convolution,
)
from metastyle.systems.shen import PART as SHEN
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.style_swap import PART as STYLE_SWAP
from metastyle.systems.vgg19 import Decoder, Encoder
from metastyle.systems.wct import LEVELS
from metastyle.systems.wct import part as wct_part
from metastyle.systems.weights import save_trained, trained_path
from metastyle.training.checkpoint import (
    adam_steps,
    adam_tensors,
    load_state,
    prefixed,
    restore_adam,
    save_state,
    under,
)
from metastyle.training.config import DataConfig, OptimizerConfig
from metastyle.training.data import Episode, Episodes, Painting, Request, Split, stream
from metastyle.training.events import Finished, Saved, Started
from metastyle.training.interrupt import Interrupt
from metastyle.training.preparation import loss_network_for
from metastyle.training.schedule import progress_of, rate_factor
from metastyle.training.sources import find_pictures
from metastyle.training.target_cache import TargetCache, rounded, save_target
from metastyle.weights.initialization import load_initialization
from metastyle.weights.vgg16 import load_loss_network

PARTS = (*(wct_part(level) for level in reversed(LEVELS)), STYLE_SWAP, AVATAR_NET, SHEN, JOHNSON)
"""What can be trained."""
PAINTING_SIZE = 512
"""Longer edge of Johnson et al.'s painting, and the most that a described one has."""
_SIDES = (384, 384)  # shorter side of described paintings: as paintings of PAINTING_SIZE usually have it
_WARM_UP = 0.01
_SHOWN = 8  # batches that decoders are fitted to at the start
_MAY_CHANGE = {"contents", "styles", "output", "iterations", "minutes", "device", "workers", "save_minutes"}


@dataclass(frozen=True)
class Settings:
    """One run. With ``iterations`` and ``minutes``, whichever ends first."""

    part: str
    """One of ``PARTS``."""
    contents: str
    """Folder of photographs, or of tar shards of them, or one shard."""
    styles: str
    """The same for paintings; for Johnson et al. the one painting."""
    output: str = "runs/baselines"
    """Folder of the weights and the state."""
    iterations: int | None = None
    minutes: float | None = None
    crop: int = 256
    """Side of the squares that are cut out of pictures."""
    batch: int | None = None
    """Photographs in a batch; None takes the published number."""
    rate: float | None = None
    """Adam's rate, which falls along a cosine; None takes the published one."""
    from_scratch: bool = False
    """Begin with random numbers: decoders instead of AdaIN's published one, Shen et al. instead of theta."""
    seed: int = 0
    device: str = "auto"
    workers: int = 2
    """Processes that decode pictures; does not change the result."""
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        def need(ok: bool, name: str, expected: str) -> None:
            if not ok:
                raise MetastyleError(f"{name} is {getattr(self, name)!r}: use {expected}")

        need(self.part in PARTS, "part", f"one of {', '.join(PARTS)}")
        need(self.iterations is not None or self.minutes is not None, "minutes", "a length, or iterations")
        need(self.iterations is None or self.iterations >= 1, "iterations", "1 or more")
        need(self.minutes is None or 0 < self.minutes < math.inf, "minutes", "a number above 0")
        need(32 <= self.crop <= 2048 and self.crop % 16 == 0, "crop", "a multiple of 16 from 32 to 2048")
        need(self.batch is None or 1 <= self.batch <= 1024, "batch", "1 to 1024")
        need(self.rate is None or 0 < self.rate < 1, "rate", "a number above 0 and below 1")
        need(0 <= self.seed < 2**63, "seed", "a whole number from 0")
        need(self.workers >= 0, "workers", "0 or more")
        need(self.save_minutes > 0, "save_minutes", "a number above 0")


@dataclass(frozen=True)
class Step:
    """An iteration has ended."""

    iteration: int
    progress: float
    """0 to 1."""
    seconds: float
    """Of training, over all sittings."""
    seconds_left: float
    losses: dict[str, float]
    """The parts of the loss, weighted, smoothed over some ten iterations."""

    @property
    def total(self) -> float:
        return sum(self.losses.values())


Event = Started | Step | Saved | Finished


@dataclass(frozen=True)
class Networks:
    """The published networks that lessons learn from; None is loaded where it is needed."""

    encoder: Encoder | None = None
    loss_network: LossNetwork | None = None
    decoder: Decoder | None = None
    """AdaIN's, where decoders begin."""
    initialization: Initialization | None = None
    """theta and Psi, where Shen et al.'s network begins; with a predictor."""


def train(settings: Settings, networks: Networks | None = None) -> Iterator[Event]:
    """Train one part; a state found in the output folder is gone on from.

    SIGTERM or Ctrl-C end the run after the iteration under way, with everything saved. Networks that are
    passed in are moved to the device, but for VGG-16, which is copied.

    Raises:
        MetastyleError: no pictures, no published weights, another run's state, a loss that is not finite.
    """
    return _Run(settings, networks or Networks()).events()


def new_lesson(settings: Settings, networks: Networks, device: torch.device) -> tuple[str, Lesson]:
    """The name of the weights' file and what is to be learned, at its start."""
    part = settings.part
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if part in (SHEN, JOHNSON):
            loss_network = networks.loss_network or load_loss_network()
            loss_network = loss_network_for(loss_network, compute_dtype(device)).to(device)
            if part == SHEN:
                meta = MetaNetwork()
                if not settings.from_scratch:
                    begin_with_initialization(meta, networks.initialization or load_initialization()[0])
                return part, MetaLearning(loss_network, meta.to(device))
            painting = to_tensor(resize(open_picture(settings.styles), PAINTING_SIZE).pixels).to(device)
            with _autocast(device, compute_dtype(device)):
                learning = OneStyleLearning(loss_network, OneStyle().to(device), painting)
            return f"{part}-{Path(settings.styles).stem}", learning
        level = {STYLE_SWAP: 3, AVATAR_NET: 4}.get(part) or int(part[-1])
        decoder = Hourglass() if part == AVATAR_NET else Decoder(level)
    if not settings.from_scratch:
        begin_with(decoder, networks.decoder or load_decoder())
    decoder = decoder.to(device)
    encoder = (networks.encoder or Encoder.load(level)).to(device)
    if isinstance(decoder, Hourglass):
        return part, HourglassReconstruction(encoder, decoder)
    return part, (SwapInversion if part == STYLE_SWAP else Reconstruction)(encoder, decoder)


class _Run:
    def __init__(self, settings: Settings, networks: Networks) -> None:
        self.settings, self.device = settings, pick_device(settings.device)
        self.output = Path(settings.output)
        self.photos = find_pictures(settings.contents)  # before anything is fetched
        self.paintings = [] if settings.part == JOHNSON else find_pictures(settings.styles)
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MetastyleError(f"{self.output}: this folder cannot be made: {error.strerror}") from None
        self.part, self.lesson = new_lesson(settings, networks, self.device)
        self.learned = self.lesson.learned.train()
        self.parameters = dict(self.learned.named_parameters())
        # Decoders learn in float32: bfloat16 was no faster for them, and they need the bits.
        through_vgg16 = isinstance(self.lesson, MetaLearning | OneStyleLearning)
        self.dtype = compute_dtype(self.device) if through_vgg16 else torch.float32
        self.rate = settings.rate or self.lesson.rate
        self.adam = torch.optim.Adam(self.parameters.values(), lr=self.rate, fused=True)
        self.state_path = self.output / f"{self.part}.state"
        self.episodes = self._episodes()
        self.digest = self.pictures.digest
        if settings.part == JOHNSON:  # the painting is not one of many
            painting = hashlib.sha256(Path(settings.styles).read_bytes()).hexdigest()
            self.digest = hashlib.sha256(f"{self.digest} {painting}".encode()).hexdigest()
        self.iteration, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}
        if self.state_path.exists():
            self._restore()
        elif settings.part not in (SHEN, JOHNSON) and not settings.from_scratch:
            shown = (self.episodes[Request(index, settings.crop)] for index in range(_SHOWN))
            pictures = [torch.cat([self._place(e.queries), self._place(e.contents)]) for e in shown]
            if isinstance(self.lesson, HourglassReconstruction):
                calibrate_skips(self.lesson.encoder, self.lesson.learned, pictures)
            elif isinstance(self.lesson, Reconstruction | SwapInversion):
                fit_last_convolution(self.lesson.encoder, self.lesson.learned, pictures)

    def _episodes(self) -> Episodes:
        s, asks_for = self.settings, self.lesson.asks_for
        crops, described = (self.paintings, []) if asks_for == "paintings" else ([], self.paintings)
        # An episode's contents are then crops of paintings, its queries crops of photographs.
        self.pictures = Split(crops, self.photos, described, [], [])
        batch = s.batch or self.lesson.batch
        data = DataConfig(
            s.contents,
            s.styles,
            s.crop,
            scale="random",
            mirror=True,
            style_side=_SIDES,
            style_cap=PAINTING_SIZE,
        )
        sizes = OptimizerConfig(styles=1 if described else 0, contents=batch, queries=batch)
        precision = str(compute_dtype(self.device)).removeprefix("torch.")
        cache = TargetCache(self.output / "cache" / f"styles-{precision}")
        return Episodes(self.pictures, data, sizes, s.seed, cache, self.output / "cache" / "photos")

    def events(self) -> Iterator[Event]:
        s = self.settings
        yield Started(
            self.iteration,
            self.seconds,
            len(self.pictures.outer),
            len(self.pictures.inner) + len(self.pictures.styles),
            1,
            str(self.device),
            self.output,
        )
        episodes = stream(self.episodes, self.iteration, lambda _: s.crop, s.workers)
        saved = time.monotonic()
        with Interrupt() as interrupt:
            while self._progress() < 1 and not interrupt.wanted:
                started = time.perf_counter()
                self._step(next(episodes))
                self.seconds += time.perf_counter() - started
                progress = self._progress()
                left = self.seconds * (1 - progress) / progress
                yield Step(self.iteration, progress, self.seconds, left, dict(self.losses))
                if time.monotonic() - saved > 60 * s.save_minutes:
                    yield self._save()
                    saved = time.monotonic()
            yield self._save()
        done = self._progress() >= 1
        yield Finished(self.iteration, self.seconds, "done" if done else "stopped", self._weights_path())

    def _progress(self) -> float:
        return progress_of(self.iteration, self.seconds, self.settings.iterations, self.settings.minutes)

    def _step(self, episode: Episode) -> None:
        self.adam.param_groups[0]["lr"] = self.rate * rate_factor("cosine", self._progress(), _WARM_UP)
        targets = [self._target(painting) for painting in episode.paintings]
        batch = Batch(self._place(episode.queries), self._place(episode.contents), targets)
        with _autocast(self.device, self.dtype):
            losses = self.lesson.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        if not total.isfinite():
            raise MetastyleError(
                f"the loss of '{self.part}' became {total.item()} at iteration {self.iteration + 1}: "
                "use a smaller rate"
            )
        self.adam.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        self.iteration += 1
        for name, loss in losses.items():
            before = self.losses.get(name, loss.item())
            self.losses[name] = 0.9 * before + 0.1 * loss.item()

    def _place(self, pictures: Tensor) -> Tensor:
        pixels = pictures.to(self.device).float().div(255)
        return pixels.contiguous(memory_format=torch.channels_last)

    def _target(self, painting: Painting) -> StyleTarget:
        target = painting.target
        if target is None:
            assert painting.pixels is not None
            assert isinstance(self.lesson, MetaLearning)
            with _autocast(self.device, self.dtype):
                target = rounded(style_target(self.lesson.loss_network, self._place(painting.pixels)))
            save_target(painting.cached, target)
        return StyleTarget(tuple(g.to(self.device) for g in target.grams), target.statistics.to(self.device))

    def _weights_path(self) -> Path:
        return trained_path(self.part, self.output)

    def _save(self) -> Saved:
        tensors = prefixed("model", self.learned.state_dict()) | adam_tensors(self.adam, self.parameters)
        numbers: dict[str, Any] = {
            "settings": dataclasses.asdict(self.settings),
            "pictures": self.digest,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "losses": self.losses,
            "adam_steps": adam_steps(self.adam, self.parameters),
        }
        save_state(self.state_path, tensors, numbers)
        about = {name: numbers[name] for name in ("settings", "iteration", "losses")}
        about |= {
            "seconds": round(self.seconds),
            "photographs": len(self.pictures.outer),
            "paintings": len(self.pictures.inner) + len(self.pictures.styles),
        }
        for name in ("contents", "styles", "output"):  # where things lie on one machine is nobody's business
            about["settings"] = {k: v for k, v in about["settings"].items() if k != name}
        save_trained(self.learned, self.part, self._weights_path(), about)
        return Saved(self.iteration, self.state_path)

    def _restore(self) -> None:
        tensors, numbers = load_state(self.state_path)
        for name, value in dataclasses.asdict(self.settings).items():
            then = numbers["settings"].get(name)
            if name not in _MAY_CHANGE and then != value:
                raise MetastyleError(
                    f"{self.state_path}: this run has {name} = {then!r}, not {value!r}: "
                    "go on with that, or use another output folder"
                )
        if numbers["pictures"] != self.digest:
            raise MetastyleError(
                f"{self.state_path}: the pictures have changed since this run began: "
                "restore them, or use another output folder"
            )
        self.learned.load_state_dict(under("model", tensors))
        restore_adam(self.adam, self.parameters, tensors, numbers["adam_steps"])
        self.iteration, self.seconds = numbers["iteration"], numbers["seconds"]
        self.losses = numbers["losses"]


def _autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
