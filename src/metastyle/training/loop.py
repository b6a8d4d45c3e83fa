"""The training loop, for meta-training and for every trained system.

One iteration is ``Loop._step``: batch -> loss -> backward -> clip -> step. Around it: checkpoints, resuming,
metrics, validation, interrupts, and several processes.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Generic

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.locks import claimed
from metastyle.training.checkpoint import (
    check_same_run,
    load_state,
    prefixed,
    prepare_folder,
    save_state,
    under,
)
from metastyle.training.config import OptimizerConfig, RunConfig
from metastyle.training.data import Episode, stream
from metastyle.training.ema import Ema
from metastyle.training.events import Finished, Iterated, Sampled, Saved, Started, TrainingEvent, Validated
from metastyle.training.interrupt import Interrupt
from metastyle.training.metrics import Metrics, RunningLosses
from metastyle.training.optimizer import Optimizer
from metastyle.training.schedule import progress_of, rate_factor
from metastyle.training.task import Batch, Record, Task

TOO_MANY_SKIPPED = 50
"""Number of consecutive gradients that are not finite after which a run ends."""


def train(
    task: Task[Batch], fabric: Fabric, optimizer: OptimizerConfig, run: RunConfig
) -> Generator[TrainingEvent, None, None]:
    """Train a task in ``run.output``; a checkpoint found there is resumed exactly.

    Only the first of several processes yields events and writes files; all of them must iterate. SIGTERM or
    Ctrl-C end the run after the current iteration, with everything saved.

    Raises:
        MetastyleError: another run uses the folder, a checkpoint of another run is in it, it cannot be
            written, or 50 gradients in a row are not finite.
    """
    with claimed(Path(run.output), "training there") if fabric.is_global_zero else nullcontext():
        for event in Loop(task, fabric, optimizer, run).events():
            if fabric.is_global_zero:
                yield event


class Loop(Generic[Batch]):
    """One run.

    Attributes:
        ema: the moving average of ``task.learned``, which is validated and written.
        iteration: iterations so far.
        seconds: training time so far, over all sessions.
        skipped: number of iterations so far that were skipped because their gradient was not finite.
    """

    def __init__(self, task: Task[Batch], fabric: Fabric, optimizer: OptimizerConfig, run: RunConfig) -> None:
        self.task, self.fabric, self.config, self.run = task, fabric, optimizer, run
        self.first = fabric.is_global_zero
        self.output = Path(run.output)
        self.checkpoint = self.output / (f"{task.stem}.state" if task.stem else "state.safetensors")
        self.optimizer = Optimizer(
            task.parameters, optimizer, hidden=task.hidden, rate_factors=task.rate_factors
        )
        self.ema = Ema(task.learned, optimizer.ema_decay)
        self.iteration, self.seconds = 0, 0.0
        self.learning_rate = self.gradient_norm = 0.0
        self.skipped = self.skipped_running = 0
        self.broken: set[str] = set()
        self.losses = RunningLosses()
        self.curve: list[dict[str, float]] = []

    def events(self) -> Iterator[TrainingEvent]:
        """Run to the end."""
        yield from self._set_up()
        yield self._started()
        # Until here there is nothing to save except the cache, which is saved already.
        folder = self.output if self.first else None
        with Interrupt() as interrupt, Metrics(folder, self.iteration, self.task.stem) as metrics:
            if self.first and self.iteration == 0:
                yield from self._validate(metrics)
                yield self._save()
            yield from self._iterate(interrupt, metrics)
            if not self.first:
                return
            done = self.progress >= 1
            if done:
                yield from self._validate(metrics)
            yield self._save()
        yield Finished(self.iteration, self.seconds, "done" if done else "stopped", self.weights)

    # ---- an iteration

    def _step(self, episode: Episode) -> None:
        """Batch -> loss -> backward -> clip -> step."""
        self._set_learning_rate()
        batches = self.task.batches(episode, self.progress)
        parts: list[dict[str, Tensor]] = []
        for parameter in self.task.parameters.values():
            parameter.grad = None
        for number, batch in enumerate(batches, start=1):
            # Processes synchronize once, with the last batch.
            with self.fabric.no_backward_sync(self.module, enabled=number < len(batches)):
                loss = self.task.loss(self.module, batch)
                self.fabric.backward(loss.minimized)
            parts.append(loss.parts)
        limit = math.inf if self.config.clip is None else self.config.clip
        norm = torch.nn.utils.clip_grad_norm_(self.task.parameters.values(), limit)
        self.iteration += 1
        self.gradient_norm = norm.item()
        if self._is_usable(self.gradient_norm):
            self.optimizer.step()
            self.ema.update(self.iteration)
            self._note(parts)

    def _set_learning_rate(self) -> None:
        factor = rate_factor(self.config.schedule, self.progress, self.config.warm_up)
        self.learning_rate = self.config.learning_rate * factor
        self.optimizer.set_learning_rate(self.learning_rate)

    def _is_usable(self, norm: float) -> bool:
        """Whether the gradient is finite; otherwise the iteration is skipped."""
        if math.isfinite(norm):
            self.skipped_running = 0
            return True
        self.skipped += 1
        self.skipped_running += 1
        if self.skipped_running == TOO_MANY_SKIPPED:
            raise MetastyleError(
                f"the gradient was not finite {TOO_MANY_SKIPPED} times in a row, until iteration "
                f"{self.iteration}: use a smaller learning rate or step size, or clip the gradient"
            )
        return False

    def _note(self, batches: list[dict[str, Tensor]]) -> None:
        """Add an iteration's losses, averaged over processes, to those of the next report."""
        losses = torch.stack([torch.stack(list(parts.values())) for parts in batches]).detach().sum(0)
        if self.fabric.world_size > 1:
            losses = self.fabric.all_reduce(losses, reduce_op="mean")
        self.losses.add(dict(zip(batches[0], losses.tolist(), strict=True)))

    # ---- the iterations

    @property
    def progress(self) -> float:
        """0 to 1."""
        return progress_of(self.iteration, self.seconds, self.run.iterations, self.run.minutes)

    def _iterate(self, interrupt: Interrupt, metrics: Metrics) -> Iterator[TrainingEvent]:
        run = self.run
        dataset = self.task.episodes(self.fabric.global_rank, self.fabric.world_size)
        episodes = stream(dataset, self.iteration, self._crop_at, self.task.workers)
        clock = saved = validated = reported = time.perf_counter()
        since = self.iteration
        while not self._agree(interrupt.wanted) and self.progress < 1:
            episode = next(episodes)
            self.broken.update(episode.broken)
            self._step(episode)
            now = time.perf_counter()
            self.seconds += now - clock
            clock = now
            if not self.first:
                continue
            if (self.iteration % run.log_every == 0 or self.progress >= 1) and self.losses.steps:
                yield self._report(episode, (self.iteration - since) / (now - reported), metrics)
                reported, since = now, self.iteration
            if now - validated > 60 * run.sample_minutes:
                yield from self._validate(metrics)
                validated = time.perf_counter()
            if now - saved > 60 * run.save_minutes:
                yield self._save()
                saved = time.perf_counter()

    def _crop_at(self, index: int) -> int:
        """The side of an episode's photographs; without a length in iterations it depends on the clock."""
        return self.task.crop(progress_of(index, self.seconds, self.run.iterations, self.run.minutes))

    def _agree(self, stop: bool) -> bool:
        """Whether any process was told to stop. All processes follow the clock of the first."""
        if self.fabric.world_size == 1:
            return stop
        own = torch.tensor([self.seconds if self.first else 0.0, float(stop)], dtype=torch.float64)
        self.seconds, wishes = self.fabric.all_reduce(own.to(self.fabric.device), reduce_op="sum").tolist()
        return bool(wishes)

    def _report(self, episode: Episode, steps_per_second: float, metrics: Metrics) -> Iterated:
        left = [math.inf]
        if self.run.iterations is not None:
            left.append((self.run.iterations - self.iteration) / steps_per_second)
        if self.run.minutes is not None:
            left.append(60 * self.run.minutes - self.seconds)
        step = Iterated(
            iteration=self.iteration,
            progress=self.progress,
            seconds=self.seconds,
            seconds_left=max(0.0, min(left)),
            steps_per_second=steps_per_second,
            losses=self.losses.report(),
            gradient_norm=self.gradient_norm,
            learning_rate=self.learning_rate,
            crop=episode.queries.shape[-1],
            broken=len(self.broken),
            skipped=self.skipped,
        )
        metrics.write("training", step.numbers())
        return step

    # ---- set-up, validation, files

    def _set_up(self) -> Iterator[TrainingEvent]:
        if self.first:
            prepare_folder(self.output)
        if self.checkpoint.exists():
            self._restore()
        else:
            if self.first:
                yield from self.task.prepare()
            if self.fabric.world_size > 1:
                start = self.task.learned.state_dict(), self.task.state()
                weights, state = self.fabric.broadcast(start)
                self.task.learned.load_state_dict(weights)
                self.task.restore(*state)
            self.ema.start()
        self.module = self.fabric.setup_module(self.task.module)

    def _started(self) -> Started:
        return Started(
            self.iteration,
            self.seconds,
            self.task.photographs,
            self.task.paintings,
            self.fabric.world_size,
            str(self.fabric.device),
            self.output,
        )

    def _validate(self, metrics: Metrics) -> Iterator[TrainingEvent]:
        """Validate the averaged weights and write a sheet of their renderings."""
        with self.fabric.autocast():
            found = self.task.validate(self.ema.weights)
        if found is None:
            return
        total, content, style = (sum(p) / len(found.losses) for p in zip(*found.losses.values(), strict=True))
        at = {"iteration": self.iteration, "seconds": round(self.seconds, 3)}
        point = at | {"total": total, "content": content, "style": style}
        metrics.write("validation", point)
        self.curve = [p for p in self.curve if p["iteration"] != self.iteration] + [point]
        totals = {name: loss[0] for name, loss in found.losses.items()}
        yield Validated(self.iteration, self.seconds, total, content, style, totals)
        path = self.output / "samples" / f"{self.iteration:08d}.png"
        path.parent.mkdir(exist_ok=True)
        png = io.BytesIO()
        Image.fromarray(found.sheet).save(png, "PNG")
        write_bytes(path, png.getvalue(), overwrite=True)
        yield Sampled(self.iteration, path)

    def _save(self) -> Saved:
        """Write the checkpoint and the weights."""
        tensors, numbers = self.task.state()
        tensors = tensors | prefixed("model", self.task.learned.state_dict()) | self.ema.tensors()
        tensors |= self.optimizer.tensors()
        numbers |= {
            "settings": self.task.settings,
            "pictures": self.task.digest,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "adam_steps": self.optimizer.adam_steps(),
            "skipped": self.skipped,
            "skipped_running": self.skipped_running,
            "broken": sorted(self.broken),
            "curve": self.curve,
        } | self.losses.numbers()
        save_state(self.checkpoint, tensors, numbers)
        record = Record(self.iteration, self.seconds, self.losses.reported, self.curve)
        self.weights = self.task.write(self.ema.weights, record)
        return Saved(self.iteration, self.checkpoint)

    def _restore(self) -> None:
        task = self.task
        tensors, numbers = load_state(self.checkpoint)
        check_same_run(self.checkpoint, numbers, task)
        task.learned.load_state_dict(under("model", tensors))
        self.ema.restore(tensors)
        task.restore(tensors, numbers)
        self.optimizer.restore(tensors, numbers["adam_steps"])
        self.iteration, self.seconds = numbers["iteration"], numbers["seconds"]
        self.skipped, self.skipped_running = numbers["skipped"], numbers["skipped_running"]
        self.broken, self.curve = set(numbers["broken"]), numbers["curve"]
        self.losses.restore(numbers)
