"""``Style``: the network adapted to one painting, ready to repaint pictures."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypedDict, TypeVar, Unpack, overload

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metastyle.core.checks import check_value, checked
from metastyle.core.device import photo_precision, pick_device
from metastyle.core.grain import PAINTED
from metastyle.core.initialization import Parameters
from metastyle.core.network import TransformationNetwork, network_of, without_idle
from metastyle.core.parameters import checked_parameters, full_parameters, strengthen
from metastyle.core.settings import (
    LARGEST_GRAIN,
    Brush,
    Budget,
    Count,
    Grain,
    PhotoPrecision,
    Precision,
    Strength,
    StyleKind,
)
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.files import as_path
from metastyle.images import color
from metastyle.images.contents import opaque
from metastyle.images.picture import Picture, resize
from metastyle.images.picture_like import PictureLike, repaint_alike
from metastyle.rendering.brush import render_with_brush, working_edge
from metastyle.rendering.stylizer import Stylizer, share_of
from metastyle.weights.initialization import shipped_initialization
from metastyle.weights.style_file import StyleRecord, read_style, write_style

Curve: TypeAlias = tuple[tuple[int, float, float, float], ...]
"""(step, total loss, content loss, style loss) of every step taken; the last two are weighted."""

Alike = TypeVar("Alike", NDArray[Any], Tensor, Image.Image, Picture, list[Any])
"""Kinds of pictures that come back as the same kind."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class RenderOptions(TypedDict, total=False):
    """The keywords of ``Style.render_many`` and their ranges; a test keeps the two equal."""

    size: int | None
    keep_color: bool
    strength: Strength
    brush: Brush | None
    grain: Grain | None
    max_memory: Budget | None
    precision: PhotoPrecision
    device: str
    batch: Count | None
    progress: Callable[[float], None] | None


class _Asked(NamedTuple):
    """Everything that a renderer depends on."""

    device: str
    max_memory: int | None
    strength: float
    grain: float
    precision: Precision


@dataclass(frozen=True, eq=False, repr=False)
class Style:
    """An adapted style, which can repaint pictures, be saved, and be blended with others.

    ``adapt``, ``load`` and ``blend`` make styles. A style is checked when it is made and never changes. It
    keeps its last renderer for the next pictures.

    Raises:
        MetastyleError: Parameters do not fit the network or are not finite, or a field is not as described
            below.
    """

    parameters: Parameters
    """float32 on the CPU, by the network's names: all 1,679,235 parameters, the 3,200 of the instance norms,
    or those and the factors of low-rank changes (``core/low_rank.py``)."""
    kind: StyleKind
    """Which parameters it has: "all", "instance_norm" or "low_rank"."""
    base: str
    """The sha256 of the initialization that was adapted (``weights.tensor_files.tensor_digest``)."""
    painting: str
    """The painting's name, for display."""
    painting_sha256: str
    """The sha256 of the painting's pixels; for a blend, that of the record of what was blended."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was adapted, as JSON values."""
    curve: Curve = ()
    """The losses of the adaptation."""
    _kept: dict[_Asked, Stylizer] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        parameters = checked_parameters(self.parameters, self.kind)
        for what in ("base", "painting_sha256"):
            if not isinstance(value := getattr(self, what), str) or not _SHA256.match(value):
                raise MetastyleError(f"the style's {what} is {value!r}: use a sha256 in hexadecimal")
        settings, curve = _checked_provenance(self.settings, self.curve)
        # Copies, so that later changes to the originals have no effect.
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "curve", curve)
        object.__setattr__(self, "painting", "".join(c if c.isprintable() else "?" for c in self.painting))

    def __repr__(self) -> str:
        numbers = sum(tensor.numel() for tensor in self.parameters.values())
        return f"<Style {self.painting!r}: {self.kind}, {numbers:,} numbers, {len(self.curve)} steps>"

    def __reduce__(self) -> tuple[type[Style], tuple[Any, ...]]:
        # Copies and pickles are made without the renderer.
        return Style, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    @property
    def adapted_grain(self) -> float:
        """The amount of grain that the style was adapted with; 0 if its settings state none."""
        return float(self.settings.get("grain", 0.0))

    @property
    def grain(self) -> float:
        """The amount of grain that pictures are painted with by default, less than it was adapted with."""
        return PAINTED * self.adapted_grain

    @property
    def needs_base(self) -> bool:
        """Whether the style needs the initialization that was adapted."""
        return self.kind != "all"

    @classmethod
    @own_surroundings()
    def load(cls, path: str | Path) -> Style:
        """Read a style file.

        Raises:
            MetastyleError: The file is missing, not a style, truncated, damaged, or made by a newer version.
        """
        record = read_style(as_path("path", path))
        try:
            return cls(**record._asdict())
        except MetastyleError as error:
            raise MetastyleError(f"{path}: damaged: {error}") from None

    @own_surroundings()
    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the style as a safetensors file, in float16.

        Args:
            overwrite: Replace an existing file.

        Raises:
            MetastyleError: The file exists or cannot be written, or a parameter is beyond float16's range.
        """
        record = StyleRecord(*(getattr(self, name) for name in StyleRecord._fields))
        write_style(record, as_path("path", path), overwrite=overwrite)

    @overload
    def stylize(self, picture: Alike, **options: Unpack[RenderOptions]) -> Alike: ...
    @overload
    def stylize(
        self, picture: str | Path | bytes | BinaryIO, **options: Unpack[RenderOptions]
    ) -> Image.Image: ...
    @own_surroundings()
    def stylize(
        self,
        picture: PictureLike | list[Any],
        *,
        size: int | None = None,
        keep_color: bool = False,
        strength: float = 1.0,
        brush: float | None = None,
        grain: float | None = None,
        max_memory: int | None = None,
        precision: PhotoPrecision = "auto",
        device: str = "auto",
        batch: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Any:
        """Repaint a picture, a batch of pictures, or a list of either.

        The keywords are those of ``render_many``.

        Returns:
            The same kind of thing as ``picture``: a PIL image for a PIL image, a path, bytes or an open file;
            an array for an array and a tensor for a tensor, of its type (uint8 for bool) and in color, so
            (H, W, 3) for (H, W); a batch for a batch, and a list for a list.

        Raises:
            MetastyleError: A picture cannot be read, or a keyword is out of range.
        """
        options: RenderOptions = {
            "size": size,
            "keep_color": keep_color,
            "strength": strength,
            "brush": brush,
            "grain": grain,
            "max_memory": max_memory,
            "precision": precision,
            "device": device,
            "batch": batch,
            "progress": progress,
        }
        return repaint_alike(picture, lambda pictures: self.render_many(pictures, **options))

    def render(
        self,
        picture: Picture,
        *,
        size: int | None = None,
        keep_color: bool = False,
        strength: float = 1.0,
        brush: float | None = None,
        grain: float | None = None,
        max_memory: int | None = None,
        precision: PhotoPrecision = "auto",
        device: str = "auto",
        progress: Callable[[float], None] | None = None,
    ) -> Picture:
        """``render_many`` for one picture."""
        return self.render_many(
            [picture],
            size=size,
            keep_color=keep_color,
            strength=strength,
            brush=brush,
            grain=grain,
            max_memory=max_memory,
            precision=precision,
            device=device,
            progress=progress,
        )[0]

    @own_surroundings()
    def render_many(
        self,
        pictures: Sequence[Picture],
        *,
        size: int | None = None,
        keep_color: bool = False,
        strength: float = 1.0,
        brush: float | None = None,
        grain: float | None = None,
        max_memory: int | None = None,
        precision: PhotoPrecision = "auto",
        device: str = "auto",
        batch: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Picture]:
        """Repaint pictures, which keep their transparency, color profiles and metadata.

        Args:
            size: The long edge of the results in pixels; None keeps each picture's own size.
            keep_color: Keep the photograph's colors and take only the lightness from the style.
            strength: 0 is the photograph, 1 the full style; up to 2, the style is exaggerated.
            brush: The size of strokes relative to those on a picture of 1024 pixels, 0.25 to 8, whatever the
                size of the picture; None paints pictures of up to 1024 pixels at their own size and larger
                ones as with 1.
            grain: The amount of grain that the network sees in flat areas, 0 to 2; None is 0.6 of the
                amount that the style was adapted with.
            max_memory: Bytes of working memory; pictures that need more are rendered in strips, exactly.
            precision: "bfloat16" is faster on hardware that computes in it; results differ by a few levels
                of 255. "auto" takes it on such processors, else "float32".
            device: "auto" takes CUDA, else Apple's GPU, else the CPU; or the name of a device.
            batch: The most consecutive pictures of one size that a GPU renders together; None is as many as
                fit into its memory.
            progress: Called with the finished share, up to 1.0; an exception that it raises ends the work.

        Raises:
            MetastyleError: A keyword is out of range, or memory runs out.
        """
        options: RenderOptions = {
            "size": size,
            "keep_color": keep_color,
            "strength": strength,
            "brush": brush,
            "grain": grain,
            "max_memory": max_memory,
            "precision": precision,
            "device": str(device),
            "batch": batch,
            "progress": progress,
        }
        given = checked(RenderOptions, options)
        strength, brush = given["strength"], given["brush"]
        if size is not None:
            pictures = [resize(picture, size) for picture in pictures]
        stylizer = self.stylizer(
            device=device,
            max_memory=max_memory,
            strength=max(1.0, strength),
            grain=grain,
            precision=precision,
        )
        visible = [opaque(picture).pixels for picture in pictures]
        if all(max(p.shape[:2]) == working_edge(p.shape[0], p.shape[1], brush) for p in visible):
            rendered = stylizer.render_many(visible, batch=batch, progress=progress)
        else:
            rendered = [
                render_with_brush(stylizer, pixels, brush, progress=share_of(progress, index, len(visible)))
                for index, pixels in enumerate(visible)
            ]
        results = []
        for picture, pixels in zip(pictures, rendered, strict=True):
            if keep_color:
                pixels = color.keep_color(picture.pixels, pixels)
            pixels = color.mix(picture.pixels, pixels, min(1.0, strength))
            results.append(dataclasses.replace(picture, pixels=pixels))
        return results

    @own_surroundings()
    def stylizer(
        self,
        *,
        device: str = "auto",
        max_memory: int | None = None,
        strength: float = 1.0,
        grain: float | None = None,
        precision: PhotoPrecision = "auto",
    ) -> Stylizer:
        """The style's renderer, which works on arrays and tensors.

        Consecutive calls with the same arguments return the same renderer.

        Args:
            strength: Above 1, the style is exaggerated; below 1, the caller must mix the result with the
                photograph.

        Raises:
            MetastyleError: An argument is out of range.
        """
        asked = _Asked(
            str(device),
            check_value("max_memory", max_memory, Budget | None),
            check_value("strength", strength, Strength),
            check_value("grain", self.grain if grain is None else grain, Grain),
            photo_precision(check_value("precision", precision, PhotoPrecision), pick_device(device)),
        )
        kept = self._kept.get(asked)
        if kept is None:
            kept = Stylizer(
                self.network(asked.strength),
                device=asked.device,
                max_memory=asked.max_memory,
                grain=asked.grain,
                precision=asked.precision,
            )
            self._kept.clear()  # one renderer at a time: each holds a network
            self._kept[asked] = kept
        return kept

    @own_surroundings()
    def network(self, strength: float = 1.0) -> TransformationNetwork:
        """The style as an ordinary feed-forward network in evaluation mode, which belongs to the caller.

        Its idle parameters are zero, whatever they are in the style.

        Args:
            strength: Above 1, the parameters go beyond the style, further away from the initialization.

        Raises:
            MetastyleError: The style needs another initialization than the one in the package.
        """
        check_value("strength", strength, Strength)
        if not self.needs_base and strength == 1:
            return network_of(without_idle(self.parameters))
        initialization, base = shipped_initialization()
        check_base(self, base)
        theta = dict(initialization.network.named_parameters())
        parameters = full_parameters(self.parameters, theta)
        if strength != 1:
            parameters = strengthen(parameters, theta, strength)
        return network_of(without_idle(parameters))


def check_base(style: Style, base: str) -> None:
    """Raise MetastyleError unless ``style`` was adapted from the initialization with the hash ``base``."""
    if style.base != base:
        raise MetastyleError(
            f"the style '{style.painting}' was made for another base model ({style.base[:12]}; here it is"
            f" {base[:12]}): adapt to the painting again"
        )


def _checked_provenance(given: Any, losses: Any) -> tuple[dict[str, Any], Curve]:
    """Check settings and losses; they come back in the form that they have after reading a file."""
    try:
        settings = json.loads(json.dumps(given, allow_nan=False))
        curve = tuple((int(n), float(t), float(c), float(s)) for n, t, c, s in losses)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MetastyleError(
            f"the style's settings or loss curve cannot be stored as JSON: {error}"
        ) from None
    if not isinstance(settings, dict):
        raise MetastyleError(f"the style's settings are a {type(settings).__name__}: use a dictionary")
    grain = settings.get("grain", 0.0)
    if not (isinstance(grain, int | float) and 0 <= grain <= LARGEST_GRAIN):
        raise MetastyleError(f"the style's grain is {grain!r}: use 0 to {LARGEST_GRAIN:g}")
    if not all(math.isfinite(x) for row in curve for x in row):
        raise MetastyleError("the style's loss curve has numbers that are not finite")
    return settings, curve
