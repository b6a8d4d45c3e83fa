"""Meta-training: an explicit loop over episodes, on one process or on as many as torchrun starts."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import math
import os
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning_fabric
import torch
from PIL import Image
from torch import Tensor

from metastyle.core.device import pick_device
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import StyleTarget, style_target
from metastyle.core.surroundings import each_step
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.locks import claimed
from metastyle.training.checkpoint import load_state, save_state
from metastyle.training.config import TrainingConfig, check_length, to_values, without_places
from metastyle.training.data import Episode, Episodes, Painting, split, stream
from metastyle.training.events import (
    Finished,
    Preparing,
    Sampled,
    Saved,
    Started,
    Step,
    TrainingEvent,
    Validated,
)
from metastyle.training.interrupt import Interrupt
from metastyle.training.learner import Learner
from metastyle.training.metrics import Metrics
from metastyle.training.preparation import (
    ValidationSet,
    loss_network_for,
    measure_paintings,
    measure_photos,
    new_initialization,
    validation_set,
)
from metastyle.training.schedule import progress_of
from metastyle.training.target_cache import TargetCache, rounded, save_target, side_by_side
from metastyle.training.validation import look
from metastyle.weights.initialization import save_initialization
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16 import load_loss_network

_FREE_TO_CHANGE = {
    "data": {"contents", "styles", "workers", "cache"},
    "run": {"output", "iterations", "minutes", "init", "device", "threads"}
    | {"log_every", "save_minutes", "sample_minutes"},
}
"""What a resumed run may change. Where pictures lie may change too, as long as their names do not."""


@each_step
def train(
    config: TrainingConfig, *, loss_network: LossNetwork | None = None
) -> Generator[TrainingEvent, None, None]:
    """Meta-train as configured, in ``config.run.output``; a state found there is resumed.

    The folder gets ``state.safetensors``, ``metastyle.safetensors`` (the weights so far, float16),
    ``metrics.jsonl``, ``config.json`` and ``samples/``. SIGTERM or Ctrl-C end the run after the iteration
    under way, with everything saved. Of several processes, which torchrun describes to each, only the first
    yields events and writes; all must iterate. ``run.threads`` sets torch's threads for the whole process.

    Args:
        loss_network: VGG-16; None finds it as everything else does. It is not changed.

    Raises:
        MetastyleError: a setting or a picture folder that cannot work, a state of another run, or
            50 gradients in a row that are not finite.
    """
    check_length(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    fabric = _launch(config)
    first = fabric.is_global_zero
    with claimed(Path(config.run.output), "training there") if first else nullcontext():
        for event in _Run(config, fabric, loss_network or load_loss_network()).events():
            if first:
                yield event


def _launch(config: TrainingConfig) -> lightning_fabric.Fabric:
    """One process, or this one's place among those that torchrun started."""
    device = pick_device(config.run.device)
    together = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if together else 1
    everywhere = int(os.environ["WORLD_SIZE"]) if together else 1
    if config.optimizer.styles % everywhere:
        raise MetastyleError(
            f"optimizer.styles = {config.optimizer.styles}: use a multiple of the {everywhere} processes"
        )
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)  # its notes on precision and processes would go to stderr
    try:
        fabric = lightning_fabric.Fabric(
            accelerator=device.type,
            devices=here if together or device.index is None else [device.index],
            num_nodes=everywhere // here,
            strategy="ddp" if everywhere > 1 else "auto",
            precision="bf16-mixed" if config.run.precision == "bfloat16" else "32-true",
        )
        fabric.launch()
    finally:
        log.setLevel(level)
    return fabric


class _Run:
    """A run and its folder: setting up, one step, looking, saving, the loop."""

    def __init__(
        self, config: TrainingConfig, fabric: lightning_fabric.Fabric, loss_network: LossNetwork
    ) -> None:
        self.config, self.fabric, self.device = config, fabric, fabric.device
        self.first = fabric.is_global_zero
        self.output = Path(config.run.output)
        self.state_path = self.output / "state.safetensors"
        self.pictures = split(config.data, config.objective.inner_steps)
        dtype = torch.bfloat16 if config.run.precision == "bfloat16" else torch.float32
        self.vgg = loss_network_for(loss_network, dtype).to(self.device)
        cache = Path(config.data.cache) if config.data.cache else self.output / "cache"
        digest = tensor_digest(loss_network.state_dict())
        self.cache = TargetCache(cache / f"styles-{digest[:12]}-{config.run.precision}")
        self.photo_folder = cache / "photos"
        try:
            (self.output / "samples").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MetastyleError(f"{error.filename}: this folder cannot be made: {error.strerror}") from None

        self.iteration, self.seconds = 0, 0.0
        self.broken: set[str] = set()
        self.window = [0.0] * 4  # sums of total, content, style and steps since the last line of the log
        self.curve: list[dict[str, float]] = []
        self.validation: ValidationSet | None = None  # the first process's business

    # ---- setting up

    def _set_up(self) -> Iterator[TrainingEvent]:
        initialization, unmeasured = new_initialization(self.config)
        self.learner = Learner(self.config, self.fabric, initialization, self.vgg)
        if self.state_path.exists():
            self._restore()
        else:
            yield from self._prepare(unmeasured)
        if self.first:
            held_out = self.pictures.held_out_contents, self.pictures.held_out_styles
            self.validation = validation_set(*held_out, self.config.data, self.cache, self._target)
        self.learner.begin()

    def _prepare(self, unmeasured: bool) -> Iterator[TrainingEvent]:
        """The first process measures, the others are told."""
        learner, pictures = self.learner, self.pictures
        predictor = learner.initialization.predictor
        if self.first and predictor is not None and unmeasured:
            yield from measure_paintings(
                predictor, pictures.styles, self.config.data, self.cache, self._target
            )
        if self.first and self.config.objective.normalize_styles:
            yield Preparing("photographs", 0, 1)
            learner.photos = measure_photos(pictures.outer, self.config, self.photo_folder, self._features)
        if self.fabric.world_size > 1:
            learner.photos = self.fabric.broadcast(learner.photos)
            start = self.fabric.broadcast(learner.initialization.state_dict())
            learner.initialization.load_state_dict(start)
        learner.average.load_state_dict(learner.initialization.state_dict())

    def _features(self, pictures: Tensor) -> list[Tensor]:
        with torch.no_grad(), self.fabric.autocast():
            return list(self.vgg(self._place(pictures)).values())

    def _place(self, pictures: Tensor) -> Tensor:
        """uint8 -> float32 in [0, 1] on the device."""
        return pictures.to(self.device).float().div(255).contiguous(memory_format=torch.channels_last)

    def _target(self, painting: Painting) -> StyleTarget:
        """What the loss needs to know of a painting."""
        target = self._described(painting)
        if painting.beside is not None:
            target = side_by_side(target, self._described(painting.beside), painting.share)
        return StyleTarget(tuple(g.to(self.device) for g in target.grams), target.statistics.to(self.device))

    def _described(self, painting: Painting) -> StyleTarget:
        """The target of one painting; computed and cached if it is seen for the first time."""
        target = painting.target
        if target is None:
            assert painting.pixels is not None
            with self.fabric.autocast():
                target = rounded(style_target(self.vgg, self._place(painting.pixels)))
            save_target(painting.cached, target)
        return target

    # ---- one step

    def _progress(self) -> float:
        run = self.config.run
        return progress_of(self.iteration, self.seconds, run.iterations, run.minutes)

    def _crop_at(self, index: int) -> int:
        """Size of an episode's photographs: exact for a run of iterations, else by the clock."""
        data, run = self.config.data, self.config.run
        progress = progress_of(index, self.seconds, run.iterations, run.minutes)
        return data.late_crop if data.late_crop is not None and progress >= data.late_from else data.crop

    def _step(self, episode: Episode) -> None:
        self.broken.update(episode.broken)
        self.crop = episode.queries.shape[-1]
        self.learner.set_rates(self._progress())
        if self._progress() < self.config.objective.reconstruct:
            losses, self.norm = self.learner.reconstruction_gradient(
                self._place(episode.queries), 2 * self.iteration
            )
        else:
            losses, self.norm = self.learner.gradient(
                self._place(episode.contents),
                [self._target(painting) for painting in episode.paintings],
                self._place(episode.queries),
                2 * self.iteration,
            )
        self.iteration += 1
        if self.learner.update(self.iteration, self.norm):
            self.window = [a + b for a, b in zip(self.window, [*losses, 1.0], strict=True)]

    # ---- looking

    def _look(self, metrics: Metrics) -> Iterator[TrainingEvent]:
        """Validate the averaged weights, draw a sheet of what they render, write them."""
        assert self.validation is not None
        weights = self.config.objective.content_weight, self.config.objective.style_weight
        photos = self._place(self.validation.photos)
        with self.fabric.autocast():
            losses, sheet = look(
                self.learner.average,
                self.vgg,
                photos,
                self.validation.paintings,
                weights,
                self.config.objective.grain,
            )
        total, content, style = (sum(part) / len(losses) for part in zip(*losses.values(), strict=True))
        at = {"iteration": self.iteration, "seconds": round(self.seconds, 3)}
        point = at | {"total": total, "content": content, "style": style}
        metrics.write("validation", point)
        self.curve = [p for p in self.curve if p["iteration"] != self.iteration] + [point]
        totals = {name: loss[0] for name, loss in losses.items()}
        yield Validated(self.iteration, self.seconds, total, content, style, totals)
        path = self.output / "samples" / f"{self.iteration:08d}.png"
        png = io.BytesIO()
        Image.fromarray(sheet).save(png, "PNG")
        write_bytes(path, png.getvalue(), overwrite=True)
        self._ship()
        yield Sampled(self.iteration, path)

    def _ship(self) -> Path:
        """Write the weights, with all that a model card needs."""
        settings: dict[str, Any] = {
            "config": without_places(self.config),
            "iterations": self.iteration,
            "seconds": round(self.seconds),
            "photographs": self.pictures.contents,
            "paintings": len(self.pictures.styles),
            "curve": self.curve,
        }
        if self.config.objective.learn_step_sizes:
            settings["step_sizes"] = self.learner.step_sizes
        path = self.output / "metastyle.safetensors"
        save_initialization(self.learner.average, path, settings, overwrite=True)
        return path

    # ---- saving

    def _save(self) -> Saved:
        tensors, numbers = self.learner.state()
        numbers |= {
            "config": to_values(self.config),
            "pictures": self.pictures.digest,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "broken": sorted(self.broken),
            "window": self.window,
            "curve": self.curve,
        }
        save_state(self.state_path, tensors, numbers)
        return Saved(self.iteration, self.state_path)

    def _restore(self) -> None:
        tensors, numbers = load_state(self.state_path)
        self._check_same_run(numbers)
        self.learner.restore(tensors, numbers)
        self.iteration, self.seconds = numbers["iteration"], numbers["seconds"]
        self.broken, self.window, self.curve = set(numbers["broken"]), numbers["window"], numbers["curve"]

    def _check_same_run(self, numbers: dict[str, Any]) -> None:
        before, defaults = numbers["config"], to_values(TrainingConfig())
        for section, values in to_values(self.config).items():
            for key, value in values.items():
                then = before[section].get(key, defaults[section][key])  # a setting that came later
                if key not in _FREE_TO_CHANGE.get(section, ()) and then != value:
                    raise MetastyleError(
                        f"{self.state_path}: this run has {section}.{key} = {then!r}, not {value!r}: "
                        "go on with that, or use another run.output (run.init starts from weights)"
                    )
        if numbers["pictures"] != self.pictures.digest:
            data = self.config.data
            raise MetastyleError(
                f"{self.state_path}: the pictures of {data.contents} or {data.styles} have changed since "
                "this run began: restore them, or use another run.output with run.init"
            )

    # ---- the loop

    def events(self) -> Iterator[TrainingEvent]:
        if self.first:
            for part in self.output.glob(".*.part"):
                part.unlink()  # what a killed process was about to write
        yield from self._set_up()
        yield Started(
            self.iteration,
            self.seconds,
            self.pictures.contents,
            len(self.pictures.styles),
            self.fabric.world_size,
            str(self.device),
            self.output,
        )
        with Interrupt() as interrupt:  # before this there is nothing to save but the cache, which is
            if not self.first:
                yield from self._loop(interrupt, None)
                return
            values = json.dumps(to_values(self.config), indent=2)
            write_bytes(self.output / "config.json", values.encode(), overwrite=True)
            with Metrics(self.output, self.iteration) as metrics:
                yield from self._recorded(interrupt, metrics)

    def _recorded(self, interrupt: Interrupt, metrics: Metrics) -> Iterator[TrainingEvent]:
        """The loop, and what the first process writes before and after it."""
        if self.iteration == 0:
            yield from self._look(metrics)
            yield self._save()
        yield from self._loop(interrupt, metrics)
        done = self._progress() >= 1
        if done:
            yield from self._look(metrics)
        yield self._save()
        yield Finished(self.iteration, self.seconds, "done" if done else "stopped", self._ship())

    def _loop(self, interrupt: Interrupt, metrics: Metrics | None) -> Iterator[TrainingEvent]:
        run, fabric = self.config.run, self.fabric
        episodes = Episodes(
            self.pictures,
            self.config.data,
            self.config.optimizer,
            run.seed,
            self.cache,
            self.photo_folder,
            fabric.global_rank,
            fabric.world_size,
        )
        row = stream(episodes, self.iteration, self._crop_at, self.config.data.workers)
        clock = saved = looked = logged = time.perf_counter()
        since = self.iteration
        while not self._agree(interrupt.wanted) and self._progress() < 1:
            self._step(next(row))
            now = time.perf_counter()
            self.seconds += now - clock
            clock = now
            if metrics is None:
                continue
            if self.iteration % run.log_every == 0 and self.window[3]:
                step = self._report((self.iteration - since) / (now - logged))
                logged, since = now, self.iteration
                metrics.write("training", dataclasses.asdict(step))
                yield step
            if now - looked > 60 * run.sample_minutes:
                yield from self._look(metrics)
                looked = time.perf_counter()
            if now - saved > 60 * run.save_minutes:
                yield self._save()
                saved = time.perf_counter()

    def _agree(self, stop: bool) -> bool:
        """Whether any process was told to stop. All go by the first one's clock."""
        if self.fabric.world_size == 1:
            return stop
        own = torch.tensor([self.seconds if self.first else 0.0, float(stop)], dtype=torch.float64)
        self.seconds, wishes = self.fabric.all_reduce(own.to(self.device), reduce_op="sum").tolist()
        return bool(wishes)

    def _report(self, steps_per_second: float) -> Step:
        run = self.config.run
        left = [math.inf]
        if run.iterations is not None:
            left.append((run.iterations - self.iteration) / steps_per_second)
        if run.minutes is not None:
            left.append(60 * run.minutes - self.seconds)
        total, content, style = (value / self.window[3] for value in self.window[:3])
        self.window = [0.0] * 4
        return Step(
            iteration=self.iteration,
            progress=self._progress(),
            seconds=self.seconds,
            seconds_left=max(0.0, min(left)),
            steps_per_second=steps_per_second,
            total=total,
            content=content,
            style=style,
            gradient_norm=self.norm,
            rate=self.learner.rate,
            crop=self.crop,
            broken=len(self.broken),
            skipped=self.learner.skipped,
        )
