"""The training loop, for meta-training and for every trained system.

One iteration is ``Loop._step``: batch -> loss -> backward -> clip -> step. Around it: checkpoints, resuming,
metrics, validation, interrupts, and several processes.
"""

from __future__ import annotations

import copy
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

from metastyle.core.muon import Muon
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.locks import claimed
from metastyle.training.checkpoint import (
    adam_steps,
    adam_tensors,
    check_same_run,
    load_state,
    muon_tensors,
    prefixed,
    restore_adam,
    restore_muon,
    save_state,
    under,
)
from metastyle.training.config import OptimizerConfig, RunConfig
from metastyle.training.data import Episode, stream
from metastyle.training.events import Finished, Sampled, Saved, Started, Step, TrainingEvent, Validated
from metastyle.training.interrupt import Interrupt
from metastyle.training.metrics import Metrics
from metastyle.training.schedule import ema_decay, progress_of, rate_factor
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
        ema: the moving average of ``task.learned``, which is validated and written; ``task.learned`` itself
            if there is no average.
        iteration: iterations so far.
        seconds: training time so far, over all sessions.
        skipped: number of iterations so far that were skipped because their gradient was not finite.
    """

    def __init__(self, task: Task[Batch], fabric: Fabric, optimizer: OptimizerConfig, run: RunConfig) -> None:
        self.task, self.fabric, self.optimizer, self.run = task, fabric, optimizer, run
        self.first = fabric.is_global_zero
        self.output = Path(run.output)
        self.checkpoint = self.output / (f"{task.stem}.state" if task.stem else "state.safetensors")
        self.adam, self.muon = self._optimizers()
        self.ema = copy.deepcopy(task.learned) if optimizer.ema_decay else task.learned
        self.iteration, self.seconds = 0, 0.0
        self.learning_rate = self.gradient_norm = 0.0
        self.skipped = self.skipped_running = 0
        self.broken: set[str] = set()
        self.sums: dict[str, float] = {}  # of the parts of the loss, since the last report
        self.steps = 0
        self.losses: dict[str, float] = {}
        self.curve: list[dict[str, float]] = []

    def _optimizers(self) -> tuple[torch.optim.Adam, Muon | None]:
        """Muon for the kernels between hidden layers, if asked for, and Adam for the rest."""
        optimizer, named = self.optimizer, self.task.parameters
        hidden = self.task.hidden if optimizer.kind == "muon" else frozenset()
        by_factor: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in named.items():
            if name not in hidden:
                by_factor.setdefault(self.task.rate_factors.get(name, 1.0), []).append(parameter)
        groups = [{"params": members, "factor": factor} for factor, members in by_factor.items()]
        adam = torch.optim.Adam(groups, lr=optimizer.learning_rate, fused=True)
        if not hidden:
            return adam, None
        kernels = [parameter for name, parameter in named.items() if name in hidden]
        muon = Muon(kernels, lr=optimizer.learning_rate, momentum=optimizer.muon_momentum)
        muon.param_groups[0]["factor"] = optimizer.muon_rate
        return adam, muon

    def events(self) -> Iterator[TrainingEvent]:
        """Run to the end."""
        yield from self._set_up()
        yield self._started()
        # Until here there is nothing to save except the cache, which is saved already.
        with Interrupt() as interrupt, self._metrics() as metrics:
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
        limit = math.inf if self.optimizer.clip is None else self.optimizer.clip
        norm = torch.nn.utils.clip_grad_norm_(self.task.parameters.values(), limit)
        self.iteration += 1
        self.gradient_norm = norm.item()
        if self._is_usable(self.gradient_norm):
            self.adam.step()
            if self.muon is not None:
                self.muon.step()
            self._update_ema()
            self._note(parts)

    def _set_learning_rate(self) -> None:
        factor = rate_factor(self.optimizer.schedule, self.progress, self.optimizer.warm_up)
        self.learning_rate = self.optimizer.learning_rate * factor
        groups = self.adam.param_groups + ([] if self.muon is None else self.muon.param_groups)
        for group in groups:
            group["lr"] = self.learning_rate * group["factor"]

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

    @torch.no_grad()
    def _update_ema(self) -> None:
        if self.ema is not self.task.learned:
            decay = ema_decay(self.optimizer.ema_decay, self.iteration)
            for mean, p in zip(self.ema.parameters(), self.task.learned.parameters(), strict=True):
                mean.lerp_(p, 1 - decay)

    def _note(self, batches: list[dict[str, Tensor]]) -> None:
        """Add an iteration's losses, averaged over processes, to the sums for the next report."""
        losses = torch.stack([torch.stack(list(parts.values())) for parts in batches]).detach().sum(0)
        if self.fabric.world_size > 1:
            losses = self.fabric.all_reduce(losses, reduce_op="mean")
        for name, loss in zip(batches[0], losses.tolist(), strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + loss
        self.steps += 1

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
            if (self.iteration % run.log_every == 0 or self.progress >= 1) and self.steps:
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

    def _report(self, episode: Episode, steps_per_second: float, metrics: Metrics) -> Step:
        left = [math.inf]
        if self.run.iterations is not None:
            left.append((self.run.iterations - self.iteration) / steps_per_second)
        if self.run.minutes is not None:
            left.append(60 * self.run.minutes - self.seconds)
        self.losses = {name: loss / self.steps for name, loss in self.sums.items()}
        self.sums, self.steps = {}, 0
        step = Step(
            iteration=self.iteration,
            progress=self.progress,
            seconds=self.seconds,
            seconds_left=max(0.0, min(left)),
            steps_per_second=steps_per_second,
            losses=self.losses,
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
            self._prepare_folder()
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
            self.ema.load_state_dict(self.task.learned.state_dict())
        self.module = self.fabric.setup_module(self.task.module)

    def _prepare_folder(self) -> None:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MetastyleError(f"{error.filename}: this folder cannot be made: {error.strerror}") from None
        for part in self.output.glob(".*.part"):
            part.unlink()  # leftovers of a killed process

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

    def _metrics(self) -> Metrics:
        folder = self.output if self.first else None
        return Metrics(folder, self.iteration, self.task.stem)

    def _validate(self, metrics: Metrics) -> Iterator[TrainingEvent]:
        """Validate the averaged weights and write a sheet of their renderings."""
        with self.fabric.autocast():
            found = self.task.validate(self.ema)
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
        learned, adam, names = self.task.learned, self.adam, self.task.parameters
        tensors, numbers = self.task.state()
        tensors = tensors | prefixed("model", learned.state_dict()) | adam_tensors(adam, names)
        if self.muon is not None:
            tensors |= muon_tensors(self.muon, names)
        if self.ema is not learned:
            tensors |= prefixed("average", self.ema.state_dict())
        numbers |= {
            "settings": self.task.settings,
            "pictures": self.task.digest,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "adam_steps": adam_steps(adam, names),
            "skipped": self.skipped,
            "skipped_running": self.skipped_running,
            "broken": sorted(self.broken),
            "window": {"sums": self.sums, "steps": self.steps},
            "losses": self.losses,
            "curve": self.curve,
        }
        save_state(self.checkpoint, tensors, numbers)
        record = Record(self.iteration, self.seconds, self.losses, self.curve)
        self.weights = self.task.write(self.ema, record)
        return Saved(self.iteration, self.checkpoint)

    def _restore(self) -> None:
        task = self.task
        tensors, numbers = load_state(self.checkpoint)
        check_same_run(self.checkpoint, numbers, task.settings, task.defaults, task.free_to_change)
        if numbers["pictures"] != task.digest:
            raise MetastyleError(
                f"{self.checkpoint}: the pictures have changed since this run began: "
                "restore them, or use another output folder"
            )
        task.learned.load_state_dict(under("model", tensors))
        if self.ema is not task.learned:
            self.ema.load_state_dict(under("average", tensors))
        task.restore(tensors, numbers)
        restore_adam(self.adam, task.parameters, tensors, numbers["adam_steps"])
        if self.muon is not None:
            restore_muon(self.muon, task.parameters, tensors)
        self.iteration, self.seconds = numbers["iteration"], numbers["seconds"]
        self.skipped, self.skipped_running = numbers["skipped"], numbers["skipped_running"]
        self.broken, self.curve = set(numbers["broken"]), numbers["curve"]
        self.sums, self.steps = numbers["window"]["sums"], numbers["window"]["steps"]
        self.losses = numbers["losses"]
