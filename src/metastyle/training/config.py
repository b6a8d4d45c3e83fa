"""What a training run is told: frozen dataclasses, and the TOML files that fill them.

``load_config("cpu")`` reads a preset that ships with the package, ``load_config("mine.toml")`` a file.
A file names only what differs from the defaults, which are the paper's values.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from metastyle.core.settings import LARGEST_GRAIN
from metastyle.errors import MetastyleError
from metastyle.training.old_names import current_setting, current_settings

PRESETS = ("paper", "gpu", "cpu", "smoke")
_LENGTHS = {"run.iterations", "run.minutes"}


@dataclass(frozen=True)
class DataConfig:
    """Which pictures, and how they are cut."""

    contents: str = ""
    """Folder of photographs, or of tar shards of them, or one tar shard."""
    styles: str = ""
    """The same for paintings."""
    crop: int = 256
    """Side of the square contents, a multiple of 4."""
    late_crop: int | None = None
    """Side of the contents from ``late_from`` on; none keeps ``crop``."""
    late_from: float = 0.7
    """Progress in 0..1 at which ``late_crop`` takes over."""
    scale: Literal["fixed", "random"] = "fixed"
    """``fixed``: shorter side resized to the crop (the paper); ``random``: to between crop and whole."""
    mirror: bool = False
    """Flip half of the contents left to right."""
    style_side: tuple[int, int] = (512, 512)
    """Shorter side of a painting: one number from this range, fixed for each painting by its name."""
    style_cap: int | None = None
    """Center crop that a painting may not exceed, per side; none keeps it whole."""
    style_views: int = 1
    """Paintings made of each one: itself, and cut-outs of it in other colors and sizes (``views.py``)."""
    mix_styles: float = 0.0
    """Share of the paintings that come as one with another beside them, in any proportion."""
    held_out_contents: int = 16
    """Photographs kept for validation, chosen by a hash of their names."""
    held_out_styles: int = 8
    """Paintings kept for validation, chosen likewise."""
    inner_share: float = 0.5
    """Share of the other photographs that only the inner level sees; the rest are the outer level's."""
    workers: int = 2
    """Processes that decode pictures; 0 decodes in the training process. Does not change the result."""
    photo_cache: int | None = None
    """Keep each photograph reduced to this shorter side, decoded, in the cache; none decodes every time."""
    cache: str | None = None
    """Folder for style targets and photographs, safe to share between runs; none: ``cache`` in the output."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """The bilevel problem: see core/bilevel.py."""

    inner_steps: int = 1
    """T, 0 to 5; 0 is plain multi-style training."""
    inner_parameters: Literal["all", "instance_norm"] = "instance_norm"
    """What the inner level moves."""
    step_size: float = 1e-5
    """delta; under the ``paper`` schedule it falls with the rate, unless it is learned."""
    learn_step_sizes: bool = False
    """Learn one positive step size per moved tensor, starting at ``step_size``."""
    second_order: bool = True
    """Differentiate through the inner gradient; false is FOMAML."""
    predictor: bool = False
    """Psi predicts offsets of the instance-norm parameters from the painting; false is the identity."""
    content_weight: float = 1.0
    """alpha."""
    style_weight: float = 1e5
    """beta."""
    reconstruct: float = 0.0
    """Share of the run, at its start, in which theta learns to give photographs back, brought to one mean
    and deviation: from there a style does not begin by losing the content."""
    style_ramp: float = 0.0
    """Share of the run, after that, over which beta rises from a tenth of its value to all of it."""
    peak_weight: float = 0.0
    """Weight of the penalty on spikes (``peaks.py``), which show as blots."""
    grain: float = 0.0
    """Amount of grain that the network sees in flat areas of the photographs (``core/grain.py``)."""
    balance: float = 0.0
    """Exponent by which beta grows for quiet paintings (``balanced_style_weight`` in core/losses.py)."""
    normalize_styles: bool = False
    """Divide each painting's loss by the style loss that untouched photographs have for it."""


@dataclass(frozen=True)
class OptimizerConfig:
    """The outer level's Adam and what one iteration holds."""

    styles: int = 4
    """Paintings per iteration, over all processes."""
    contents: int = 4
    """Photographs of the inner level per iteration."""
    queries: int = 4
    """Photographs of the outer level per iteration."""
    styles_at_once: int | None = None
    """Paintings per backward pass of one process; fewer need less memory, the gradient is the same."""
    rate: float = 1e-5
    """Adam's rate at its highest."""
    predictor_rate: float = 1.0
    """Rate of the predictor relative to ``rate``: each of its outputs sums over 128 hidden units, so the
    same rate moves an instance-norm parameter many times as far."""
    step_size_rate: float = 1.0
    """Rate of the logarithms of learned step sizes relative to ``rate``. Adam moves a logarithm by about its
    rate: at 8e-4 a step size grows by half in 500 iterations, so short runs need 50 or so."""
    schedule: Literal["paper", "cosine", "constant"] = "paper"
    """rate / (1 + 2.5 p), half a cosine to 0, or constant, p being progress; at 100,000 iterations the
    first is the paper's 1 / (1 + 2.5e-5 iteration)."""
    warm_up: float = 0.0
    """Share of the run over which the rate rises linearly."""
    clip: float | None = None
    """Largest norm of the gradient."""
    average: float = 0.0
    """Decay of the moving average of the weights, which is validated and shipped; 0: the last weights are."""


@dataclass(frozen=True)
class RunConfig:
    """Where, how long and on what. None of this changes what is learned, but length, seed and precision."""

    output: str = "runs/metastyle"
    """Folder of the run; a state found there is resumed."""
    iterations: int | None = None
    """Length in iterations. Resuming is bit-exact when this alone sets the length."""
    minutes: float | None = None
    """Length in minutes of training. With both, whichever ends first."""
    seed: int = 0
    """Of everything random."""
    init: str | None = None
    """Initialization weights to start from; none starts at random."""
    device: str = "auto"
    """auto, cpu or cuda; several processes come from torchrun."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast: weights, sums and the optimizer stay float32."""
    threads: int | None = None
    """CPU threads of each process; none leaves torch's choice."""
    log_every: int = 10
    """Iterations between lines of metrics.jsonl."""
    save_minutes: float = 5.0
    """Between saved states."""
    sample_minutes: float = 10.0
    """Between validations and sample sheets."""


_PLACES = (("data", "contents"), ("data", "styles"), ("data", "cache"), ("run", "output"), ("run", "init"))


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that ``train`` needs to know."""

    data: DataConfig = field(default_factory=DataConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)


def load_config(
    source: str | Path = "paper", overrides: Mapping[str, object] | None = None
) -> TrainingConfig:
    """Read a preset by name or a TOML file by path, checked.

    ``overrides`` has dotted names, such as ``{"run.minutes": 10, "data.contents": "photos"}``, and wins.
    One length given there, ``run.minutes`` or ``run.iterations``, also replaces the other one of the file.
    """
    if str(source) in PRESETS:
        origin = f"{source}.toml"
        text = (resources.files("metastyle.training") / "configs" / origin).read_text(encoding="utf-8")
    else:
        origin = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MetastyleError(
                f"{origin}: cannot be read as a configuration ({error}): "
                f"use a TOML file or one of {', '.join(PRESETS)}"
            ) from None
    try:
        values = current_settings(tomllib.loads(text), origin)
    except tomllib.TOMLDecodeError as error:
        raise MetastyleError(f"{origin}: not valid TOML: {error}") from None
    overrides = {current_setting(name): value for name, value in (overrides or {}).items()}
    if len(_LENGTHS & overrides.keys()) == 1:
        overrides |= dict.fromkeys(_LENGTHS - overrides.keys())
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        values[section] = {**values.get(section, {}), key: value}
    config: TrainingConfig = from_values(TrainingConfig, values, origin)
    check(config, origin)
    return config


def to_values(config: TrainingConfig) -> dict[str, dict[str, Any]]:
    """The configuration as nested dictionaries of JSON's own types."""
    values: dict[str, dict[str, Any]] = dataclasses.asdict(config)
    for section in values.values():
        for key, value in section.items():
            section[key] = list(value) if isinstance(value, tuple) else value
    return values


def without_places(config: TrainingConfig) -> dict[str, dict[str, Any]]:
    """``to_values``, as it travels with the weights: of each path only its last part."""
    values = to_values(config)
    for section, name in _PLACES:
        if values[section][name]:
            values[section][name] = Path(values[section][name]).name
    return values


def from_values(cls: Any, values: Any, origin: str, prefix: str = "") -> Any:
    """Build a dataclass from nested dictionaries; unknown names and wrong types are named."""
    if not isinstance(values, dict):
        raise MetastyleError(f"{origin}: {prefix.rstrip('.')} is a section: write [{prefix.rstrip('.')}]")
    hints = get_type_hints(cls)
    unknown = [name for name in values if name not in hints]
    if unknown:
        known = ", ".join(prefix + name for name in hints)
        raise MetastyleError(f"{origin}: unknown setting {prefix}{unknown[0]}: use one of {known}")
    return cls(**{name: _value(hints[name], v, origin, prefix + name) for name, v in values.items()})


def _value(kind: Any, value: Any, origin: str, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_values(kind, value, origin, name + ".")
    allowed = get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)
    for one in allowed:
        if get_origin(one) is Literal and value in get_args(one):
            return value
        if get_origin(one) is tuple and isinstance(value, (list, tuple)) and len(value) == 2:
            return tuple(_value(int, v, origin, name) for v in value)
        if one is type(None) and value is None:
            return None
        if one is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if one in (int, bool, str) and type(value) is one:
            return value
    raise MetastyleError(f"{origin}: {name} = {value!r}: use {_described(allowed)}")


def _described(kinds: tuple[Any, ...]) -> str:
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "nothing (leave it out)",
    }
    names = [
        " or ".join(f'"{choice}"' for choice in get_args(kind))
        if get_origin(kind) is Literal
        else words.get(kind, "two whole numbers, such as [192, 384]")
        for kind in kinds
    ]
    return " or ".join(names)


def check(config: TrainingConfig, origin: str = "configuration") -> None:
    """Raise a MetastyleError that names the first value that cannot work."""
    data, objective, optimizer, run = config.data, config.objective, config.optimizer, config.run

    def need(ok: bool, name: str, expected: str) -> None:
        if not ok:
            section, key = name.split(".")
            value = getattr(getattr(config, section), key)
            raise MetastyleError(f"{origin}: {name} = {value!r}: use {expected}")

    def side(value: int | None) -> bool:
        return value is None or (16 <= value <= 4096 and value % 4 == 0)

    need(side(data.crop), "data.crop", "a multiple of 4 from 16 to 4096")
    need(side(data.late_crop), "data.late_crop", "a multiple of 4 from 16 to 4096")
    need(0 <= data.late_from <= 1, "data.late_from", "0 to 1")
    low, high = data.style_side
    need(16 <= low <= high <= 4096, "data.style_side", "[low, high] with 16 <= low <= high <= 4096")
    need(data.style_cap is None or data.style_cap >= 16, "data.style_cap", "16 or more")
    need(1 <= data.style_views <= 1000, "data.style_views", "1 to 1000")
    need(0 <= data.mix_styles <= 1, "data.mix_styles", "0 to 1")
    need(data.held_out_contents >= 1, "data.held_out_contents", "1 or more")
    need(data.held_out_styles >= 1, "data.held_out_styles", "1 or more")
    need(0 < data.inner_share < 1, "data.inner_share", "a share between 0 and 1")
    need(data.workers >= 0, "data.workers", "0 or more")
    largest = max(data.crop, data.late_crop or 0)
    need(
        data.photo_cache is None or data.photo_cache >= largest,
        "data.photo_cache",
        f"the crop ({largest}) or more",
    )
    need(0 <= objective.inner_steps <= 5, "objective.inner_steps", "0 to 5")
    need(0 < objective.step_size < math.inf, "objective.step_size", "a number above 0")
    need(
        not (objective.learn_step_sizes and objective.inner_steps == 0),
        "objective.learn_step_sizes",
        "false where inner_steps is 0: there is no step to learn",
    )
    need(0 <= objective.content_weight < math.inf, "objective.content_weight", "a number from 0")
    need(0 < objective.style_weight < math.inf, "objective.style_weight", "a number above 0")
    need(0 <= objective.peak_weight < math.inf, "objective.peak_weight", "a number from 0")
    need(0 <= objective.grain <= LARGEST_GRAIN, "objective.grain", f"0 to {LARGEST_GRAIN:g}")
    need(0 <= objective.balance <= 1, "objective.balance", "0 to 1")
    need(optimizer.styles >= 1, "optimizer.styles", "1 or more")
    need(optimizer.contents >= 1, "optimizer.contents", "1 or more")
    need(optimizer.queries >= 1, "optimizer.queries", "1 or more")
    need(
        optimizer.styles_at_once is None or optimizer.styles_at_once >= 1,
        "optimizer.styles_at_once",
        "1 or more",
    )
    need(0 < optimizer.rate < 1, "optimizer.rate", "a number above 0 and below 1")
    need(optimizer.step_size_rate > 0, "optimizer.step_size_rate", "a number above 0")
    need(0 <= optimizer.warm_up < 1, "optimizer.warm_up", "a share from 0 and below 1")
    need(optimizer.clip is None or optimizer.clip > 0, "optimizer.clip", "a number above 0")
    need(0 <= optimizer.average < 1, "optimizer.average", "0, or a decay below 1 such as 0.999")
    need(run.iterations is None or run.iterations >= 1, "run.iterations", "1 or more")
    need(run.minutes is None or 0 < run.minutes < math.inf, "run.minutes", "a number above 0")
    need(
        run.iterations is not None or run.minutes is not None,
        "run.iterations",
        "a length in iterations, or set run.minutes",
    )
    need(0 <= run.seed < 2**63, "run.seed", "a whole number from 0")
    need(run.threads is None or run.threads >= 1, "run.threads", "1 or more")
    need(run.log_every >= 1, "run.log_every", "1 or more")
    need(run.save_minutes > 0, "run.save_minutes", "a number above 0")
    need(run.sample_minutes > 0, "run.sample_minutes", "a number above 0")
