"""The public face: ``adapt``, ``load``, ``blend``, ``stylize`` and ``Style``.

>>> style = metastyle.adapt("painting.jpg", steps=100)
>>> picture = style.stylize("photo.jpg")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast, overload
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metastyle.core import style as core
from metastyle.core.adaptation import Adaptation, AdaptationStep
from metastyle.core.device import pick_device
from metastyle.core.network import TransformationNetwork, network_of
from metastyle.core.settings import AdaptationSettings, Effort, default_settings
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.images import color
from metastyle.images.contents import MOST_PHOTOS, PROCEDURAL_SHARE, Contents, opaque, pixel_digest, spread
from metastyle.images.convert import (
    array_like,
    pictures_from_array,
    pictures_from_tensor,
    tensor_like,
    to_tensor,
)
from metastyle.images.decode import from_pil, list_pictures, open_picture
from metastyle.images.encode import to_pil
from metastyle.images.masks import FEATHER, fit_mask, lay_over
from metastyle.images.picture import Picture, resize
from metastyle.images.transparency import alpha_mask, visible_painting
from metastyle.rendering.brush import check_brush, render_with_brush, working_edge
from metastyle.rendering.stylizer import Stylizer
from metastyle.weights import style_file
from metastyle.weights.builtin_styles import builtin_path
from metastyle.weights.cache import remember
from metastyle.weights.initialization import load_initialization
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16 import load_loss_network

Source: TypeAlias = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor | Picture
"""A picture: a path, an encoded file's bytes, an open file, a PIL picture, an array or a tensor.

Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), tensors (H, W), (1, H, W), (3, H, W) or (4, H, W), of
uint8, uint16, bool (a mask) or floating point in [0, 1]. Where several pictures are expected, an array may
be a batch (B, H, W, 3), and a tensor a batch (B, 3, H, W).
"""

STRONGEST = 2.0
"""Largest strength."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Style(core.Style):
    """An adapted style that can be applied, saved and blended. Made by ``adapt``, ``load`` or ``blend``."""

    @overload
    def stylize(self, picture: NDArray[Any], **options: Any) -> NDArray[Any]: ...
    @overload
    def stylize(self, picture: Tensor, **options: Any) -> Tensor: ...
    @overload
    def stylize(
        self, picture: str | Path | bytes | BinaryIO | Image.Image, **options: Any
    ) -> Image.Image: ...
    @overload
    def stylize(self, picture: list[Any], **options: Any) -> list[Any]: ...
    @own_surroundings()
    def stylize(self, picture: Any, **options: Any) -> Any:
        """Repaint a picture, or a list of pictures, in this style.

        The same kind comes back: a PIL picture for a PIL picture, a path, bytes or an open file; an array
        for an array, a tensor for a tensor, of its type (uint8 for bool) and in color: (H, W, 3) for (H, W);
        a batch for a batch; a list for a list.

        Options (those of ``render_many``): size, keep_color, strength, brush, grain, max_memory, precision,
        device, progress.

        Raises:
            MetastyleError: the picture cannot be read, or an option is out of range.
        """
        return _repaint(picture, lambda pictures: self.render_many(pictures, **options))

    def render(self, picture: Picture, **options: Any) -> Picture:
        """``stylize`` for a ``Picture``: alpha, color profile and metadata go along."""
        return self.render_many([picture], **options)[0]

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
        precision: str = "float32",
        device: str = "auto",
        progress: Callable[[float], None] | None = None,
    ) -> list[Picture]:
        """Repaint pictures; those of equal size go through the network together.

        Args:
            size: long edge of the result in pixels; None keeps each picture's own size.
            keep_color: keep the photograph's colors, take only the style's light and dark.
            strength: 0 is the photograph, 1 the full style, up to 2 more than that.
            brush: size of strokes relative to those on a picture of 1024 pixels, 0.25 to 8, whatever the
                picture's size; None: as the network paints them, on large pictures as with 1.
            grain: how much flat areas get to paint on, 0 to 2; None: as much as when the style was learned.
            max_memory: bytes of working memory; larger pictures are streamed in strips, exactly.
            precision: "bfloat16" takes less time on hardware that computes in it, for differences of some
                8-bit levels.
            progress: called with the finished share, 0 to 1.
        """
        check_strength(strength)
        check_brush(brush)
        if size is not None:
            pictures = [resize(p, size) for p in pictures]
        stylizer = self._renderer(
            device=device,
            max_memory=max_memory,
            strength=max(1.0, strength),
            grain=self.grain if grain is None else grain,
            precision=precision,
        )
        visible = [opaque(p).pixels for p in pictures]
        own_size = all(max(p.shape[:2]) == working_edge(p.shape[0], p.shape[1], brush) for p in visible)
        if progress is None and own_size:
            results = stylizer.render_many(visible)
        else:
            shares = [progress and _share(progress, index, len(pictures)) for index in range(len(pictures))]
            results = [
                render_with_brush(stylizer, pixels, brush, progress=share)
                for pixels, share in zip(visible, shares, strict=True)
            ]
        finished = []
        for picture, pixels in zip(pictures, results, strict=True):
            if keep_color:
                pixels = color.keep_color(picture.pixels, pixels)
            pixels = color.mix(picture.pixels, pixels, min(1.0, strength))
            finished.append(dataclasses.replace(picture, pixels=pixels))
        return finished

    @own_surroundings()
    def stylizer(
        self,
        *,
        device: str = "auto",
        max_memory: int | None = None,
        strength: float = 1.0,
        grain: float | None = None,
        precision: str = "float32",
    ) -> Stylizer:
        """The renderer of this style: made once by callers who repaint many pictures or frames.

        strength: above 1, of the style strengthened so far; below, the caller mixes with the photograph.
        grain: 0 to 2; None: as much as when the style was learned.
        """
        return Stylizer(
            self.network(strength),
            device=device,
            max_memory=max_memory,
            grain=self.grain if grain is None else grain,
            precision=precision,
        )

    def _renderer(self, **wanted: Any) -> Stylizer:
        """``stylizer``, kept with the style from one call to the next: the last one asked for."""
        kept = _renderers.get(self)
        if kept is None or kept[0] != wanted:
            kept = _renderers[self] = (wanted, self.stylizer(**wanted))
        return kept[1]

    @own_surroundings()
    def network(self, strength: float = 1.0) -> TransformationNetwork:
        """The ordinary fast network that this style is, in evaluation mode.

        strength: above 1, the parameters continue beyond the style, away from the initialization.
        """
        initialization, base = load_initialization()
        style: core.Style = self
        if self.needs_base or strength != 1:
            style_file.check_base(self, base)
        if strength != 1:
            style = core.strengthen(self, dict(initialization.network.named_parameters()), strength)
        return network_of(style.full_parameters(initialization.network))

    @own_surroundings()
    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the style as a safetensors file; an existing file is an error unless ``overwrite``."""
        style_file.save_style(self, Path(path), overwrite=overwrite)


_renderers: WeakKeyDictionary[Style, tuple[dict[str, Any], Stylizer]] = WeakKeyDictionary()
"""Beside the styles and not inside them, so that copies and pickles stay what they were."""


@own_surroundings()
def load(path: str | Path) -> Style:
    """Read a style file.

    Raises:
        MetastyleError: not a style file, truncated, damaged, or made by a newer version.
    """
    return _public(style_file.load_style(Path(path)))


@own_surroundings()
def blend(styles: Sequence[core.Style], weights: Sequence[float] | None = None) -> Style:
    """Mix styles: a convex combination of their parameters (the post, section 4.3), equal by default."""
    base = None
    kinds = {style.kind for style in styles}
    if kinds - {"all"} and kinds != {"instance_norm"}:
        initialization, sha256 = load_initialization()
        for style in styles:
            style_file.check_base(style, sha256)
        base = dict(initialization.network.named_parameters())
    return _public(core.blend(styles, weights, base_parameters=base))


@own_surroundings()
def adapt(
    painting: Source,
    *,
    contents: Source | Iterable[Source] | Contents | None = None,
    match_color: Source | None = None,
    start: core.Style | str | Path | None = None,
    effort: Effort = "normal",
    settings: AdaptationSettings | None = None,
    device: str = "auto",
    loss_network: str | Path | None = None,
    cache: str | Path | None = None,
    again: bool = False,
    weights_cache: str | Path | None = None,
    offline: bool = False,
    on_download: Callable[[int, int, str], None] | None = None,
    on_step: Callable[[AdaptationStep], bool | None] | None = None,
    **changes: Any,
) -> Style:
    """Teach the network a painting.

    Args:
        painting: the style picture; what is transparent in it is not learned.
        contents: photographs, or a folder of them, to learn on; None takes procedural pictures, and
            ``Contents`` any mixture of the two.
        match_color: a photograph whose colors the painting is given before it is learned.
        start: a style, or its file, to go on from, such as a draft that is worth more steps.
        effort: "draft", "normal" or "fine": what the painting is worth in time (``default_settings``).
        settings: how to learn, None for what ``effort`` means on the device; ``changes`` replace single
            fields of it: ``steps=200, seed=1``.
        loss_network: a file with VGG-16's weights; None finds or fetches them.
        cache: folder that remembers finished adaptations, where it can be written; None remembers nothing.
        again: learn, whatever ``cache`` remembers, and remember that.
        weights_cache: folder for fetched weights; None is the user's cache folder.
        on_step: called after every step; returning False stops there and keeps what has been learned.

    Raises:
        MetastyleError: a picture cannot be read, a setting is out of range, or weights cannot be had.
    """
    settings = settings_from(settings or default_settings(pick_device(device), effort), changes)
    style_picture = visible_painting(resize(read_picture(painting), settings.style_size))
    if match_color is not None:
        photo = read_picture(match_color)
        matched = color.match_color(style_picture.pixels, photo.pixels, style_picture.alpha, photo.alpha)
        style_picture = dataclasses.replace(style_picture, pixels=matched)
    initialization, base = load_initialization()
    if isinstance(start, str | Path):
        start = load(start)
    if start is not None and start.needs_base:
        style_file.check_base(start, base)
    given = contents if isinstance(contents, Contents) else _given_contents(contents, settings.pool)
    name, digest = _name(painting), pixel_digest([style_picture])
    key = style_file.cache_key(
        painting=digest,
        base=base,
        settings=dataclasses.asdict(settings),
        contents=given.identity,
        start=tensor_digest(start.parameters) if start else None,
    )
    remembered = None if cache is None else style_file.style_cache_path(Path(cache), key)
    known = style_file.recall(remembered) if remembered and not again else None
    if known is not None:
        return dataclasses.replace(_public(known), painting=name)
    run = Adaptation(
        initialization,
        load_loss_network(
            Path(loss_network) if loss_network else None,
            cache_dir=Path(weights_cache) if weights_cache else None,
            offline=offline,
            progress=on_download,
        ),
        to_tensor(style_picture.pixels),
        content_pool(given, settings),
        settings,
        device,
        start,
        alpha_mask(style_picture),
    )
    finished = True
    for step in run:
        if on_step is not None and on_step(step) is False:
            finished = step.step == settings.steps
            break
    style = Style(
        parameters=run.parameters if settings.parameters == "all" else run.moved_parameters,
        kind=settings.parameters,
        base=start.base if start else base,
        painting=name,
        painting_sha256=digest,
        settings=dataclasses.asdict(settings)
        | given.record()
        | ({"start": {"painting": start.painting, "settings": start.settings}} if start else {}),
        curve=tuple(run.curve),
    )
    if remembered is not None and finished:
        remember(remembered, "this style", lambda path: style.save(path, overwrite=True))
    return style


@own_surroundings()
def stylize(
    picture: Any,
    style: core.Style | Source | None,
    *,
    regions: Sequence[tuple[Source, core.Style | Source | None]] = (),
    feather: float = FEATHER,
    **options: Any,
) -> Any:
    """Repaint ``picture`` (or a list) in ``style``, and regions of it in other styles.

    A style is a Style, a style file, a built-in style's name, or a painting to adapt to first with the
    default settings, on these very pictures; None is the photograph as it is.

    Args:
        regions: (mask, style) pairs, each laid over what came before; masks are pictures of the
            photograph's proportions, white or opaque inside (``images/masks.py``).
        feather: softness of the masks' edges, as a share of the picture's long edge.
        options: those of ``Style.render_many``.
    """

    def repaint(pictures: list[Picture]) -> list[Picture]:
        own = Contents(lambda: spread(pictures, MOST_PHOTOS), PROCEDURAL_SHARE)
        learning: dict[str, Any] = {"device": options.get("device", "auto"), "contents": own}
        background = as_style(style, **learning)
        over = [(read_picture(mask), as_style(one, **learning)) for mask, one in regions]
        return [render_regions(each, background, over, feather, **options) for each in pictures]

    return _repaint(picture, repaint)


@own_surroundings()
def as_style(style: core.Style | Source | None, **options: Any) -> Style | None:
    """A Style of whatever ``stylize`` takes as one; ``options`` are those of ``adapt``."""
    if style is None:
        return None
    if isinstance(style, core.Style):
        return style if isinstance(style, Style) else _public(style)
    if isinstance(style, str | Path):
        builtin = None if Path(style).exists() else builtin_path(str(style))
        if builtin is not None or Path(style).suffix.lower() == ".safetensors":
            return load(builtin or style)
    return adapt(style, **options)


@own_surroundings()
def render_regions(
    picture: Picture,
    background: Style | None,
    regions: Sequence[tuple[Picture, Style | None]] = (),
    feather: float = FEATHER,
    *,
    size: int | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Picture:
    """``Style.render`` with one style behind and others in regions; None is the photograph.

    Every style sees the whole picture, so that its colors do not depend on the region's shape.
    """
    if size is not None:
        picture = resize(picture, size)
    height, width = picture.pixels.shape[:2]
    masks = [fit_mask(mask, height, width, feather=feather, name=mask.name) for mask, _ in regions]
    layers = [background, *(style for _, style in regions)]
    painted = []
    for index, style in enumerate(layers):
        share = progress and _share(progress, index, len(layers))
        if style is not None:
            painted.append(style.render(picture, progress=share, **options).pixels)
        else:
            painted.append(picture.pixels)
            if share:
                share(1.0)
    pixels = painted[0]
    for above, mask in zip(painted[1:], masks, strict=True):
        pixels = lay_over(pixels, above, mask)
    return dataclasses.replace(picture, pixels=pixels)


def settings_from(settings: AdaptationSettings, changes: dict[str, Any]) -> AdaptationSettings:
    """``settings`` with single fields changed; an unknown name is an error."""
    known = [field.name for field in dataclasses.fields(AdaptationSettings)]
    for name in changes:
        if name not in known:
            raise MetastyleError(f"adaptation has no setting '{name}': use one of {', '.join(known)}")
    return dataclasses.replace(settings, **changes)


def content_pool(photos: Sequence[Picture] | Contents, settings: AdaptationSettings) -> Tensor:
    """The contents of one adaptation: crops of ``photos``, or procedural pictures where there are none."""
    contents = photos if isinstance(photos, Contents) else Contents(lambda: photos, procedural=0.0)
    return contents.pool(settings.contents, settings.size, settings.seed)


def read_picture(source: Source) -> Picture:
    """Any kind of picture as a ``Picture``."""
    pictures = read_pictures(source)
    if len(pictures) > 1:
        raise MetastyleError(f"a batch of {len(pictures)} pictures, where one is expected: give one of them")
    return pictures[0]


def read_pictures(source: Source) -> list[Picture]:
    """The pictures of a batch, or any kind of picture by itself."""
    if isinstance(source, Picture):
        return [source]
    if isinstance(source, Tensor):
        return pictures_from_tensor(source)
    if isinstance(source, np.ndarray):
        return pictures_from_array(source)
    return [from_pil(source) if isinstance(source, Image.Image) else open_picture(source)]


def _repaint(source: Any, render: Callable[[list[Picture]], list[Picture]]) -> Any:
    """What ``render`` makes of the picture, the batch or the list ``source``, as the same kind of thing."""
    sources = source if isinstance(source, list) else [source]
    read = [read_pictures(one) for one in sources]
    results = iter(render([picture for pictures in read for picture in pictures]))
    back = [_like(one, list(islice(results, len(own)))) for one, own in zip(sources, read, strict=True)]
    return back if isinstance(source, list) else back[0]


def _like(source: Any, pictures: list[Picture]) -> Any:
    """``pictures`` as the kind of thing that ``source`` is."""
    if isinstance(source, Tensor):
        return tensor_like(source, pictures)
    if isinstance(source, np.ndarray):
        return array_like(source, pictures)
    return pictures[0] if isinstance(source, Picture) else to_pil(pictures[0])


def _given_contents(given: Source | Iterable[Source] | None, most: int) -> Contents:
    photos = _photos(given, most)
    return Contents(lambda: photos, procedural=0.0)


def _photos(given: Source | Iterable[Source] | None, most: int) -> list[Picture]:
    if given is None:
        return []
    if isinstance(given, str | Path) and Path(given).is_dir():
        paths = list_pictures(Path(given))[:most]
        if not paths:
            raise MetastyleError(f"{given}: no pictures in this folder to learn on")
        return [open_picture(path) for path in paths]
    if isinstance(given, str | Path | bytes | Image.Image | np.ndarray | Tensor) or hasattr(given, "read"):
        return read_pictures(cast(Source, given))
    return [picture for source in cast(Iterable[Source], given) for picture in read_pictures(source)]


def check_strength(strength: float) -> None:
    """Raise MetastyleError unless ``strength`` lies in 0 to 2."""
    if not 0 <= strength <= STRONGEST:  # also refuses what is not a number
        raise MetastyleError(
            f"strength is {strength}: use 0 (the photo) to 1 (the full style), or up to {STRONGEST:g}"
        )


def _name(source: Source) -> str:
    return Path(source).stem if isinstance(source, str | Path) else "painting"


def _share(progress: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    return lambda part: progress((index + part) / count)


def _public(style: core.Style) -> Style:
    return Style(**{field.name: getattr(style, field.name) for field in dataclasses.fields(core.Style)})
