"""What the commands have in common: their shared options and how a size is written.

Nothing heavy is imported here, so that help and usage errors come at once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.core.adaptation import AdaptationSettings

FLAG = Parameter(negative="", show_default=False)
LEARNING = Group("How the painting is learned", sort_key=10)
COMMON = Group("Every command", sort_key=20)

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_bytes(text: str) -> int:
    """``2GB``, ``1.5 G``, ``800MB`` or ``2GiB`` in bytes; units of 1000, or of 1024 when written with an i.

    Raises:
        ValueError: no positive size.
    """
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"'{text}' is not a size: write 2GB or 800MB")
    unit = _UNITS[match[2].lower()]
    if match[3]:
        unit = 1 << (10 * round(len(str(unit)) / 3))
    size = round(float(match[1]) * unit)
    if size < 1:
        raise ValueError(f"'{text}' is not a size above zero: write 2GB or 800MB")
    return size


def _bytes_option(_: Any, tokens: Sequence[Any]) -> int:
    return parse_bytes(tokens[0].value)


Bytes = Annotated[int, Parameter(converter=_bytes_option, metavar="SIZE")]


def parse_whole(text: str) -> int:
    """A whole number; what is between two of them is an error, not rounded.

    Raises:
        ValueError: no whole number.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text.strip()):
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def _whole_option(_: Any, tokens: Sequence[Any]) -> int:
    return parse_whole(tokens[0].value)


Whole = Annotated[int, Parameter(converter=_whole_option)]


def parse_time(text: str) -> float:
    """``90``, ``1:30`` or ``0:01:30.5`` in seconds.

    Raises:
        ValueError: no time.
    """
    match = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,9})?)", text.strip())
    parts = [float(part) for part in match.groups(default="0")] if match else []
    if not match or (match[2] is not None and parts[2] >= 60) or (match[1] is not None and parts[1] >= 60):
        raise ValueError(f"'{text}' is not a time: write 90, 1:30 or 0:01:30.5")
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def _time_option(_: Any, tokens: Sequence[Any]) -> float:
    return parse_time(tokens[0].value)


Time = Annotated[float, Parameter(converter=_time_option, metavar="TIME")]


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True)
class Common:
    """How a command talks."""

    json: Annotated[bool, FLAG] = False
    """Print one JSON object on stdout instead of text."""
    quiet: Annotated[bool, FLAG] = False
    """Show no progress, say nothing but errors."""
    debug: Annotated[bool, FLAG] = False
    """Show a traceback with an error."""


@Parameter(name="*", group=LEARNING)
@dataclass(frozen=True)
class Learning:
    """``AdaptationSettings`` as options, without importing torch; a test keeps the two the same.

    ``size`` and ``grain`` are called ``--content-size`` and ``--content-grain`` here, because ``--size`` and
    ``--grain`` are those of the result.
    """

    effort: Literal["draft", "normal", "fine"] = "normal"
    """How much time a painting is worth: ten seconds or so, a minute, or five minutes of two CPU cores. The
    defaults of some options depend on it; they are listed in this order."""
    steps: Whole | None = None
    """Adam steps; 0 keeps the predicted start. [default: 15, 60, 240; on a CUDA GPU 60, 200, 1000]"""
    learning_rate: float = 1e-3
    """Adam's highest rate."""
    warm_up: Whole | None = None
    """First steps, over which the rate rises: Adam's first updates are as large for noise as for signal.
    [default: 5, 10, 10; on a CUDA GPU 10, 10, 10]"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the rate falls: to zero along a half cosine, or not at all, as in the paper."""
    batch: Whole | None = None
    """Contents per step. [default: 1, 1, 1; on a CUDA GPU 2, 4, 4]"""
    pool: Whole | None = None
    """Contents that the steps draw from; fewer where fewer are needed.
    [default: 24, 24, 48; on a CUDA GPU 48, 100, 400]"""
    size: Annotated[Whole | None, Parameter(name="--content-size")] = None
    """Side of the square contents, in pixels.
    [default: 160, 192, 256; on a CUDA GPU 192, 256, 256]"""
    style_size: Whole = 512
    """Longer edge of the painting, in pixels; smaller makes smaller strokes."""
    parameters: Literal["all", "low_rank", "instance_norm"] = "all"
    """What the steps move: everything, low-rank changes, or only the 3,200 instance-norm parameters."""
    rank: Whole = 2
    """Of low-rank changes."""
    content_weight: float = 1.0
    """alpha in the perceptual loss."""
    style_weight: float = 1e5
    """beta in the perceptual loss."""
    balance: float = 0.4
    """Exponent by which beta grows for quiet paintings; 0 gives every painting the same."""
    grain: Annotated[float, Parameter(name="--content-grain")] = 1.0
    """Amount of grain that the network sees in flat areas of the contents."""
    seed: Whole = 0
    """Of everything random: which contents, in which order, and the grain."""

    def settings(self, device: str) -> AdaptationSettings:
        """The same as ``AdaptationSettings``; what was not asked for is what suits ``device``.

        Raises:
            MetastyleError: a value is out of range, or the device is not there.
        """
        from metastyle.core.adaptation import default_settings
        from metastyle.core.device import pick_device

        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        defaults = default_settings(pick_device(device), given.pop("effort"))
        try:
            return dataclasses.replace(defaults, **given)
        except MetastyleError as error:
            # The message names the setting; whoever types commands knows it as an option.
            name, rest = str(error).split(" ", 1)
            raise MetastyleError(f"{option_name(name)} {rest}") from None


def option_name(setting: str) -> str:
    """The option that sets the field ``setting`` of ``AdaptationSettings``."""
    return f"--content-{setting}" if setting in ("size", "grain") else "--" + setting.replace("_", "-")


@Parameter(name="*", group=LEARNING)
@dataclass(frozen=True)
class Sources:
    """Where adaptation finds what it needs."""

    content: Annotated[Path | None, Parameter(metavar="PATH")] = None
    """A photograph or a folder of them to learn on, or 'procedural'; without it, what is to be painted."""
    learn_again: Annotated[bool, FLAG] = False
    """Learn paintings again that are remembered from an earlier call."""
    loss_network: Annotated[Path | None, Parameter(metavar="FILE")] = None
    """A file with VGG-16's weights; without it, they are found or fetched."""
    offline: Annotated[bool, FLAG] = False
    """Never use the network."""
