"""The settings of a training run, declared once. The defaults are the paper's values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from metastyle.core.checks import SettingError, Settings
from metastyle.core.settings import CONTENT_WEIGHT, STYLE_WEIGHT, Count, Grain, Positive, Seed, Share, Weight

Side = Annotated[int, Ge(16), Le(4096), MultipleOf(4)]


@dataclass(frozen=True)
class DataConfig(Settings):
    """The pictures, and how they are cropped."""

    contents: str = ""
    """Folder of photographs or of tar shards, or one tar shard."""
    styles: str = ""
    """The same for paintings."""
    crop: Side = 256
    """Side of the square contents."""
    late_crop: Side | None = None
    """Side of the contents after ``late_from``; none keeps ``crop``."""
    late_from: Share = 0.7
    """Progress in 0..1 at which ``late_crop`` takes over."""
    scale: Literal["fixed", "random"] = "fixed"
    """``fixed``: shorter side resized to the crop (the paper); ``random``: to a length from there up."""
    mirror: bool = False
    """Flip half of the contents left to right."""
    style_side: tuple[int, int] = (512, 512)
    """Range of the shorter side of paintings; each painting's side depends only on its name."""
    style_cap: Annotated[int, Ge(16)] | None = None
    """Largest side of a painting, which is center-cropped; none keeps it whole."""
    style_augmentations: Annotated[int, Ge(1), Le(1000)] = 1
    """Versions of each painting: itself, and crops in other colors and sizes (``augmentation.py``)."""
    mix_styles: Share = 0.0
    """Share of the paintings that have another one next to them, in a random proportion."""
    held_out_contents: Count = 16
    """Photographs held out for validation, chosen by a hash of their names."""
    held_out_styles: Count = 8
    """Paintings held out for validation, chosen the same way."""
    inner_share: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the other photographs that only the inner level sees; the outer level gets the rest."""
    workers: Annotated[int, Ge(0)] = 2
    """Processes that decode pictures; 0 decodes in the training process. Does not change the result."""
    photo_cache: int | None = None
    """Shorter side at which decoded photographs are kept in the cache; none decodes them every time."""
    cache: str | None = None
    """Folder for style targets and photographs, which runs may share; none: ``cache`` in the output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.style_side
        if not 16 <= low <= high <= 4096:
            raise SettingError("style_side", [low, high], "[low, high] with 16 <= low <= high <= 4096")
        largest = max(self.crop, self.late_crop or 0)
        if self.photo_cache is not None and self.photo_cache < largest:
            raise SettingError("photo_cache", self.photo_cache, f"the crop ({largest}) or more")


@dataclass(frozen=True)
class ObjectiveConfig(Settings):
    """The bilevel problem (core/bilevel.py)."""

    inner_steps: Annotated[int, Ge(0), Le(5)] = 1
    """T; 0 is plain multi-style training."""
    inner_parameters: Literal["all", "instance_norm"] = "instance_norm"
    """The parameters that the inner level updates."""
    step_size: Positive = 1e-5
    """delta; with the ``paper`` schedule it falls with the learning rate, unless it is learned."""
    learn_step_sizes: bool = False
    """Learn one positive step size per updated tensor, starting at ``step_size``."""
    second_order: bool = True
    """Differentiate through the inner gradient; false is FOMAML."""
    predictor: bool = False
    """Psi predicts offsets of the instance-norm parameters from the painting; false is the identity."""
    content_weight: Weight = CONTENT_WEIGHT
    """alpha."""
    style_weight: Positive = STYLE_WEIGHT
    """beta."""
    reconstruct: Share = 0.0
    """Share of the run, at its start, in which theta learns to reconstruct photographs of normalized mean
    and deviation, so that training on styles does not begin by losing the content."""
    style_ramp: Share = 0.0
    """Share of the run, after that, over which beta rises from a tenth of its value to its full value."""
    spike_weight: Weight = 0.0
    """Weight of the penalty on spikes (``spike_penalty.py``), which show as blots."""
    grain: Grain = 0.0
    """Amount of grain that the network sees in flat areas of the photographs (``core/grain.py``)."""
    balance: Share = 0.0
    """Exponent that increases beta for quiet paintings (``balanced_style_weight`` in core/losses.py)."""
    normalize_styles: bool = False
    """Divide each painting's loss by the style loss of unprocessed photographs."""
    average: Literal["arithmetic", "geometric"] = "arithmetic"
    """The mean over an iteration's paintings. ``geometric`` takes the mean of the losses' logarithms: one
    percent less counts the same for every painting, however hard it is, and no divisor matters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learn_step_sizes and self.inner_steps == 0:
            expected = "false where inner_steps is 0: there is no step to learn"
            raise SettingError("learn_step_sizes", True, expected)


@dataclass(frozen=True)
class OptimizerConfig(Settings):
    """The outer level's optimizer, and the size of an iteration."""

    kind: Literal["adam", "muon"] = "adam"
    """Adam, or Muon for the network's kernels between hidden layers and Adam for all other parameters."""

    styles: Count = 4
    """Paintings per iteration, over all processes."""
    contents: Count = 4
    """Photographs of the inner level per iteration."""
    queries: Count = 4
    """Photographs of the outer level per iteration."""
    styles_at_once: Count | None = None
    """Paintings per backward pass of one process; fewer need less memory for the same gradient."""
    learning_rate: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """Adam's highest learning rate."""
    muon_rate: Positive = 0.3
    """Learning rate of Muon relative to ``learning_rate``. Each of its steps is that long, while Adam's are
    shorter where gradients disagree."""
    muon_momentum: Annotated[float, Ge(0), Lt(1)] = 0.95
    """Share of the earlier gradients' sum that Muon keeps at each iteration."""
    predictor_rate: float = 1.0
    """Learning rate of the predictor relative to ``learning_rate``. Each of its outputs is a sum over 128
    hidden units, so that the same rate would move an instance-norm parameter many times as far."""
    step_size_rate: Positive = 1.0
    """Learning rate of the logarithms of learned step sizes relative to ``learning_rate``. Adam changes a
    logarithm by about the learning rate: at 8e-4, a step size grows by half in 500 iterations, so that
    short runs need 50 here."""
    schedule: Literal["paper", "cosine", "constant"] = "paper"
    """How the learning rate falls: as 1 / (1 + 2.5 p), p being progress, which at 100,000 iterations is the
    paper's 1 / (1 + 2.5e-5 iteration); along half a cosine to 0; or not at all."""
    warm_up: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the run over which the learning rate rises linearly."""
    clip: Positive | None = None
    """Largest norm of the gradient."""
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of the exponential moving average of the weights, which is validated and saved; 0: no average."""


@dataclass(frozen=True)
class RunConfig(Settings):
    """Output, length and hardware of a run. Only length, seed and precision affect the result."""

    output: str = "runs/metastyle"
    """Folder of the run; a checkpoint found there is resumed."""
    iterations: Count | None = None
    """Length in iterations. Resuming is bit-exact when this alone sets the length."""
    minutes: Positive | None = None
    """Length in minutes of training. If both lengths are given, the run ends at the earlier one."""
    seed: Seed = 0
    """Random seed."""
    init: str | None = None
    """Initialization weights to start from; none starts at random."""
    device: str = "auto"
    """auto, cpu or cuda; torchrun starts several processes."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 means autocast: weights, sums and the optimizer stay in float32."""
    threads: Count | None = None
    """CPU threads of each process; none keeps torch's default."""
    log_every: Count = 10
    """Iterations between lines of metrics.jsonl."""
    save_minutes: Positive = 5.0
    """Minutes between checkpoints."""
    sample_minutes: Positive = 10.0
    """Minutes between validations and sample sheets."""


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of ``train``."""

    data: DataConfig = field(default_factory=DataConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)


FREE_TO_CHANGE = frozenset(
    {"data.contents", "data.styles", "data.workers", "data.cache", "run.output", "run.iterations"}
    | {"run.minutes", "run.init", "run.device", "run.threads", "run.log_every", "run.save_minutes"}
    | {"run.sample_minutes"}
)
"""Settings that a resumed run may change. Pictures may be moved, too, as long as their names stay."""
