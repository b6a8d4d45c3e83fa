"""The verbs of the package: ``adapt``, ``load``, ``blend``, ``stylize`` and ``film``.

>>> style = metastyle.adapt("painting.jpg", steps=100)
>>> picture = style.stylize("photo.jpg")
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, Unpack, cast, overload

from PIL import Image
from torch import Tensor

from metastyle.core import parameters as arithmetic
from metastyle.core.adaptation import Adaptation, AdaptationStep
from metastyle.core.checks import SettingError, check_value
from metastyle.core.device import hardware_of, pick_device
from metastyle.core.initialization import Parameters
from metastyle.core.settings import (
    FEATHER,
    AdaptationSettings,
    Effort,
    PhotoPrecision,
    Precision,
    StyleKind,
    default_settings,
)
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.files import as_path
from metastyle.images import color
from metastyle.images.contents import (
    MOST_PHOTOS,
    OTHER_ZOOM,
    Contents,
    pixel_digest,
    spread,
)
from metastyle.images.convert import to_tensor
from metastyle.images.masks import Mask, fit_mask, lay_over
from metastyle.images.picture import Picture, resize
from metastyle.images.picture_like import PictureLike, read_photos, read_picture, repaint_alike
from metastyle.images.transparency import alpha_mask, visible_painting
from metastyle.rendering.stylizer import share_of
from metastyle.style import Alike, RenderOptions, Style, check_base
from metastyle.weights.builtin_styles import style_path
from metastyle.weights.cache import cache_if_possible
from metastyle.weights.initialization import shipped_initialization
from metastyle.weights.style_file import style_cache_path
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16 import load_loss_network

if TYPE_CHECKING:  # the extra ``video`` may not be installed
    from metastyle.films.film import Film, Footage
    from metastyle.films.progress import Progress
    from metastyle.films.temporal import TemporalSettings

StyleLike: TypeAlias = Style | PictureLike
"""A style, the path of a style file, the name of a built-in style, or a painting to adapt to first."""


@own_surroundings()
def adapt(
    painting: PictureLike,
    *,
    contents: PictureLike | Iterable[PictureLike] | Contents | None = None,
    match_color: PictureLike | None = None,
    start: Style | str | Path | None = None,
    effort: Effort = "normal",
    settings: AdaptationSettings | None = None,
    steps: int | None = None,
    optimizer: Literal["muon", "adam"] | None = None,
    learning_rate: float | None = None,
    warm_up: int | None = None,
    schedule: Literal["linear", "cosine", "constant"] | None = None,
    batch: int | None = None,
    pool: int | None = None,
    size: int | None = None,
    early_scale: float | None = None,
    style_size: int | None = None,
    parameters: StyleKind | None = None,
    rank: int | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    balance: float | None = None,
    grain: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    loss_network: str | Path | None = None,
    cache: str | Path | None = None,
    refresh_cache: bool = False,
    weights_cache: str | Path | None = None,
    offline: bool = False,
    on_download: Callable[[int, int, str], None] | None = None,
    on_start: Callable[[Parameters], None] | None = None,
    on_step: Callable[[AdaptationStep], bool | None] | None = None,
) -> Style:
    """Adapt the network to a painting.

    Args:
        painting: The style picture; its transparent parts are ignored.
        contents: Photographs, or a folder of photographs, to train on; None trains on procedural pictures,
            and ``Contents`` describes any mixture of the two.
        match_color: A photograph whose colors are given to the painting first.
        start: A style, or its file, to start from, such as a draft.
        effort: How long the adaptation takes: "draft", "normal" or "fine" (``default_settings``).
        settings: The settings of the adaptation; None takes those of ``effort`` on the device.
        steps: This and all keywords up to ``seed`` are fields of ``AdaptationSettings`` and replace those of
            ``settings``; None keeps a field.
        device: "auto" takes CUDA, else Apple's GPU, else the CPU; or the name of a device.
        loss_network: A file with VGG-16's weights; None finds or downloads them.
        cache: A folder for finished styles, which are reused if everything that affects the result is the
            same; None caches nothing. A folder that cannot be written is not an error.
        refresh_cache: Adapt even if ``cache`` has the style, and replace it.
        weights_cache: The folder for downloaded weights; None is the user's cache folder.
        offline: Never download anything.
        on_download: Called with the bytes received, the total bytes, and the name of the download.
        on_start: Called before the first step with the parameters that Psi predicts from the painting, by
            name, float32 on the CPU; not called if there is a ``start`` or a cached style.
        on_step: Called after every step; if it returns False, the adaptation ends with the current style.

    Raises:
        MetastyleError: A picture cannot be read, a setting is out of range, weights are unavailable, or the
            loss diverges.
    """
    fields = {
        "steps": steps,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "warm_up": warm_up,
        "schedule": schedule,
        "batch": batch,
        "pool": pool,
        "size": size,
        "early_scale": early_scale,
        "style_size": style_size,
        "parameters": parameters,
        "rank": rank,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "balance": balance,
        "grain": grain,
        "seed": seed,
    }
    check_value("on_start", on_start, Callable | None)
    check_value("on_step", on_step, Callable | None)
    check_value("on_download", on_download, Callable | None)
    settings = settings_from(
        default_settings(hardware_of(pick_device(device)), effort) if settings is None else settings,
        {name: value for name, value in fields.items() if value is not None},
    )
    style_picture = _style_picture(painting, match_color, settings.style_size)
    initialization, base = shipped_initialization()
    if start is not None and not isinstance(start, Style):
        start = load(as_path("start", start))
    if start is not None and start.needs_base:
        check_base(start, base)
    if not isinstance(contents, Contents):
        photos = read_photos(contents, settings.pool)
        contents = Contents(lambda: photos, procedural=0.0, zoom=OTHER_ZOOM)
    name, digest = _name(painting), pixel_digest([style_picture])
    cached = None
    if cache is not None:
        cached = style_cache_path(
            as_path("cache", cache),
            painting=digest,
            base=base,
            settings=dataclasses.asdict(settings),
            contents=contents.identity,
            start=tensor_digest(start.parameters) if start else None,
        )
        if not refresh_cache and (known := _read_cached(cached)):
            return dataclasses.replace(known, painting=name)
    run = Adaptation(
        initialization,
        load_loss_network(
            as_path("loss_network", loss_network) if loss_network else None,
            cache_dir=as_path("weights_cache", weights_cache) if weights_cache else None,
            offline=offline,
            progress=on_download,
        ),
        to_tensor(style_picture.pixels),
        contents.pool(settings.contents, settings.size, settings.seed),
        settings,
        device,
        start.parameters if start else None,
        alpha_mask(style_picture),
        on_start,
    )
    finished = _take_steps(run, on_step)
    provenance = dataclasses.asdict(settings) | contents.record()
    if start:
        provenance["start"] = {"painting": start.painting, "settings": start.settings}
    style = Style(
        parameters=run.parameters if settings.parameters == "all" else run.adapted_parameters,
        kind=settings.parameters,
        base=start.base if start else base,
        painting=name,
        painting_sha256=digest,
        settings=provenance,
        curve=tuple(run.curve),
    )
    if cached is not None and finished:
        cache_if_possible(cached, "this style", lambda path: style.save(path, overwrite=True))
    return style


def load(path: str | Path) -> Style:
    """Read a style file, or a built-in style by its name.

    Raises:
        MetastyleError: The file is missing, not a style, truncated, damaged, or made by a newer version.
    """
    return Style.load(style_path(as_path("path", path)))


@own_surroundings()
def blend(styles: Sequence[Style], weights: Sequence[float] | None = None) -> Style:
    """Blend styles: a convex combination of their parameters (the paper, section 4.3).

    Args:
        styles: At least one, all adapted from the same initialization.
        weights: A nonnegative number for each style, not all 0; they are divided by their sum. None blends
            equal parts.

    Returns:
        A style whose settings record what was blended. It has the instance norms alone if all styles do, and
        otherwise all parameters.

    Raises:
        MetastyleError: There are no styles, unusable weights, or different initializations.
    """
    if not isinstance(styles, Sequence):
        raise MetastyleError(f"blend takes a list of styles, not {type(styles).__name__}")
    if not styles:
        raise MetastyleError("nothing to blend: give at least one style")
    shares = arithmetic.blending_shares(weights, len(styles))
    first = styles[0]
    for style in styles:
        if not isinstance(style, Style):
            raise MetastyleError(f"blend takes styles, not {type(style).__name__}: metastyle.load reads one")
        if style.base != first.base:
            raise MetastyleError(
                f"'{style.painting}' was adapted from base model {style.base[:12]}, '{first.painting}' from"
                f" {first.base[:12]}: only styles of one base model can be blended; adapt them again"
            )
    kinds = {style.kind for style in styles}
    sets: list[Mapping[str, Tensor]] = [style.parameters for style in styles]
    if kinds not in ({"all"}, {"instance_norm"}):
        initialization, base = shipped_initialization()
        check_base(first, base)
        theta = dict(initialization.network.named_parameters())
        sets = [arithmetic.full_parameters(own, theta) for own in sets]
    parents = [
        {"painting": s.painting, "painting_sha256": s.painting_sha256, "weight": w, "settings": s.settings}
        for s, w in zip(styles, shares, strict=True)
    ]
    return Style(
        parameters=arithmetic.blend(sets, shares),
        kind="instance_norm" if kinds == {"instance_norm"} else "all",
        base=first.base,
        painting=" + ".join(f"{w:.2g} {s.painting}" for s, w in zip(styles, shares, strict=True)),
        painting_sha256=hashlib.sha256(json.dumps(parents, sort_keys=True).encode()).hexdigest(),
        settings={
            "blend": parents,
            "grain": sum(w * s.adapted_grain for s, w in zip(styles, shares, strict=True)),
        },
    )


@overload
def stylize(
    picture: Alike,
    style: StyleLike | None,
    *,
    regions: Sequence[tuple[PictureLike, StyleLike | None]] = (),
    feather: float = FEATHER,
    **options: Unpack[RenderOptions],
) -> Alike: ...
@overload
def stylize(
    picture: str | Path | bytes | BinaryIO,
    style: StyleLike | None,
    *,
    regions: Sequence[tuple[PictureLike, StyleLike | None]] = (),
    feather: float = FEATHER,
    **options: Unpack[RenderOptions],
) -> Image.Image: ...
@own_surroundings()
def stylize(
    picture: PictureLike | list[Any],
    style: StyleLike | None,
    *,
    regions: Sequence[tuple[PictureLike, StyleLike | None]] = (),
    feather: float = FEATHER,
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
    """Repaint a picture, a batch of pictures, or a list of either, in one style or in several.

    Args:
        picture: The picture or pictures; the result is of the same kind, as from ``Style.stylize``.
        style: A style, the path of a style file, or the name of a built-in style. A painting is adapted to
            first, with the default settings and on these pictures. None is the unchanged photograph.
        regions: Pairs of a mask and a style, each on top of the ones before. A mask is a picture with the
            photograph's proportions, white or opaque inside (``images/masks.py``).
        feather: Softness of the masks' edges, as a share of the picture's long edge.
        size: This and all keywords after it are those of ``Style.render_many``.

    Raises:
        MetastyleError: A picture or a style cannot be read, or a keyword is out of range.
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

    def repaint(pictures: list[Picture]) -> list[Picture]:
        own = Contents(lambda: spread(pictures, MOST_PHOTOS))
        background = as_style(style, contents=own, device=device)
        masked = [
            (read_picture(mask), as_style(one, contents=own, device=device)) for mask, one in _pairs(regions)
        ]
        return render_regions(pictures, background, masked, feather, **options)

    return repaint_alike(picture, repaint)


def film(
    clip: str | Path,
    style: StyleLike | Callable[[Footage], Style],
    *,
    out: str | Path | None = None,
    style_name: str | None = None,
    size: int | None = None,
    begin: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    strength: float = 1.0,
    brush: float | None = None,
    grain: float | None = None,
    keep_color: bool = False,
    smoothing: float = 0.5,
    temporal: TemporalSettings | None = None,
    frame_by_frame: bool = False,
    codec: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    max_memory: int | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    on_progress: Callable[[Progress], bool | None] | None = None,
) -> Film:
    """Repaint a film without flicker; its sound, subtitles, chapters and time stamps are kept.

    The same call resumes a film that was interrupted for any reason: finished segments are in OUT.parts next
    to it, and the film is the same as without the interruption. The extra ``video`` is needed.

    Args:
        clip: A film in any format that FFmpeg reads, or its frames, PNG or JPEG: a folder, or FRAME%04d.png.
        style: As for ``stylize``; a painting is adapted to first, on frames of the film. Or a function
            that returns a style for a ``Footage``, whose ``contents`` are those frames; it is called after
            everything else has been checked.
        out: The path of the film (.mp4, .m4v, .mov, .mkv or .webm), or a folder; None writes CLIP-STYLE.mp4
            next to the clip, or .mkv if no other container can hold the sound.
        style_name: The style's name in the name of the film; None is the name of its painting.
        size: The long edge of the film in pixels; None keeps the clip's own size.
        begin: The second of the clip at which the film begins.
        end: The second of the clip before which it ends.
        fps: Frames per second of a clip that is given as frames; None is 25.
        strength: 0 is the clip, 1 the full style; up to 2, the style is exaggerated.
        brush: The size of strokes relative to those on frames of 1024 pixels, 0.25 to 8.
        grain: The amount of grain that the network sees in flat areas, 0 to 2; None is 0.6 of the
            amount that the style was adapted with, and 0 without smoothing.
        keep_color: Keep the clip's colors and take only the lightness from the style.
        smoothing: The share of the previous result, moved along, in each frame, 0 to below 1.
        temporal: How the statistics that normalize the frames follow the film; None is the default.
        frame_by_frame: Paint every frame independently: sharper, but with flicker.
        codec: "h264", "hevc", "vp9" or "av1"; None is what plays everywhere in the film's container.
        quality: The constant rate factor; lower is better and larger.
        overwrite: Replace an existing film, and unfinished work with other keywords.
        max_memory: Bytes of working memory for one frame; larger ones are rendered in strips, exactly.
        precision: "bfloat16" is faster on hardware that computes in it; frames differ by a few levels of 255.
        device: "auto" takes CUDA, else Apple's GPU, else the CPU; or the name of a device.
        on_progress: Called after every frame; if it returns False, the work stops and leaves a playable film
            of the finished frames.

    Returns:
        The path of the film, whether it is complete, its size and speed, and what it lacks of the clip.

    Raises:
        MetastyleError: The clip or the style cannot be read, the film cannot be written, or a keyword is out
            of range. ``FilmFailedError``, if painting failed halfway, describes what is finished.
    """
    try:
        from metastyle.films.film import make_film
        from metastyle.films.settings import FilmSettings
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise MetastyleError(
            f"films need {error.name}, which is not installed: pip install 'metastyle[video]'"
        ) from None

    settings = FilmSettings(
        size=size,
        begin=begin,
        end=end,
        fps=fps,
        strength=strength,
        brush=brush,
        grain=grain,
        keep_color=keep_color,
        smoothing=smoothing,
        temporal=temporal,
        frame_by_frame=frame_by_frame,
        codec=codec,
        quality=quality,
        max_memory=max_memory,
        precision=precision,
        device=str(device),  # a torch.device is accepted, too
    )

    def adapted(footage: Footage) -> Style:
        if not isinstance(style, Style) and callable(style):
            made = style(footage)
            if not isinstance(made, Style):
                raise MetastyleError(f"the function returned no style, but {type(made).__name__}")
            return made
        contents = footage.contents(default_settings(hardware_of(pick_device(device))).size)
        result = as_style(style, contents=contents, device=device)
        assert result is not None
        return result

    check_value("on_progress", on_progress, Callable | None)
    style_name = check_value("style_name", style_name, str | None)
    if style_name is None:
        style_name = style.painting if isinstance(style, Style) else _name(cast(PictureLike, style))
    return make_film(
        as_path("clip", clip),
        adapted,
        settings,
        out=out if isinstance(out, str | None) else as_path("out", out),
        style_name=style_name,
        overwrite=overwrite,
        on_progress=on_progress,
    )


@own_surroundings()
def as_style(
    style: StyleLike | None, *, contents: Contents | None = None, device: str = "auto"
) -> Style | None:
    """The style for ``style`` as in ``stylize``; a painting is adapted to, on ``contents``.

    Unchanged files are read once, so that calls in a loop share a style and its renderer.

    Raises:
        MetastyleError: The style or the painting cannot be read.
    """
    if style is None or isinstance(style, Style):
        return style
    if isinstance(style, str | Path):
        path = style_path(Path(style))
        if path.suffix.lower() == ".safetensors":
            return _load_once(path)
    return adapt(style, contents=contents, device=device)


@own_surroundings()
def render_regions(
    pictures: Sequence[Picture],
    background: Style | None,
    regions: Sequence[tuple[Picture, Style | None]] = (),
    feather: float = FEATHER,
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
    """``Style.render_many`` with a background style and others in regions; None is the photograph.

    Every style sees the whole picture, so that its colors do not depend on the shape of its region.

    Args:
        regions: Pairs of a mask and a style, as for ``stylize``.

    Raises:
        MetastyleError: A mask does not have a picture's proportions, or a keyword is out of range.
    """
    pictures = pictures if size is None else [resize(picture, size) for picture in pictures]
    sizes = {picture.size for picture in pictures}
    masks = [
        {(w, h): fit_mask(mask, h, w, feather=feather, name=mask.name) for w, h in sizes}
        for mask, _ in regions
    ]
    painted: list[Picture] = []
    for index, style in enumerate([background, *(style for _, style in regions)]):
        share = share_of(progress, index, 1 + len(regions))
        if style is None:
            layer = list(pictures)
            if share is not None:
                share(1.0)
        else:
            layer = style.render_many(
                pictures,
                keep_color=keep_color,
                strength=strength,
                brush=brush,
                grain=grain,
                max_memory=max_memory,
                precision=precision,
                device=device,
                batch=batch,
                progress=share,
            )
        painted = _laid_over(painted, layer, masks[index - 1]) if index else layer
    return painted


def settings_from(settings: AdaptationSettings, changes: Mapping[str, Any]) -> AdaptationSettings:
    """``settings`` with some fields changed.

    Raises:
        MetastyleError: There is no such field, or a value is out of range.
    """
    if not isinstance(settings, AdaptationSettings):
        raise SettingError("settings", settings, "AdaptationSettings")
    known = [field.name for field in dataclasses.fields(AdaptationSettings)]
    for name in changes:
        if name not in known:
            raise MetastyleError(f"adaptation has no setting '{name}': use one of {', '.join(known)}")
    return dataclasses.replace(settings, **changes) if changes else settings


def _pairs(regions: Any) -> list[tuple[PictureLike, StyleLike | None]]:
    """``regions`` as a list of pairs.

    Raises:
        MetastyleError: They are not pairs.
    """
    try:
        return [(mask, style) for mask, style in regions]
    except (TypeError, ValueError):
        raise MetastyleError("regions are not pairs: use [(mask, style), ...]") from None


def _style_picture(painting: PictureLike, match_color: PictureLike | None, style_size: int) -> Picture:
    """The painting in the form that the network is adapted to."""
    picture = visible_painting(resize(read_picture(painting), style_size))
    if match_color is None:
        return picture
    photo = read_picture(match_color)
    matched = color.match_color(picture.pixels, photo.pixels, picture.alpha, photo.alpha)
    return dataclasses.replace(picture, pixels=matched)


def _take_steps(run: Adaptation, on_step: Callable[[AdaptationStep], bool | None] | None) -> bool:
    """Take the steps; returns whether all were taken."""
    for step in run:
        if on_step is not None and on_step(step) is False:
            return step.step == step.steps
    return True


def _read_cached(path: Path) -> Style | None:
    """The style at ``path``; None if it cannot be read, so that it is made again."""
    try:
        return Style.load(path)
    except MetastyleError:
        return None


def _load_once(path: Path) -> Style:
    try:
        status = path.stat()
    except OSError:
        return load(path)  # reports the error
    return _loaded(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _loaded(path: Path, modified: int, size: int) -> Style:
    return load(path)


def _laid_over(
    below: Sequence[Picture], above: Sequence[Picture], masks: Mapping[tuple[int, int], Mask]
) -> list[Picture]:
    """Pictures composited with others inside the mask of their size."""
    return [
        dataclasses.replace(one, pixels=lay_over(one.pixels, other.pixels, masks[one.size]))
        for one, other in zip(below, above, strict=True)
    ]


def _name(painting: PictureLike) -> str:
    return Path(painting).stem if isinstance(painting, str | Path) else "painting"
