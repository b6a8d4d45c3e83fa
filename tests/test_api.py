"""The public functions, on small pictures and with a random loss network."""

from __future__ import annotations

import dataclasses
import io
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import metastyle
from metastyle import api
from metastyle.core.loss_network import LossNetwork
from metastyle.core.network import without_idle
from metastyle.images.contents import Contents
from metastyle.images.picture import Picture
from metastyle.images.transparency import visible_painting
from metastyle.weights.initialization import shipped_initialization

QUICK: dict[str, Any] = {"size": 64, "style_size": 64, "steps": 2, "batch": 1, "pool": 3, "device": "cpu"}


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch, random_loss_network: LossNetwork) -> None:
    monkeypatch.setattr(api, "load_loss_network", lambda *_, **__: random_loss_network)


def pixels(height: int = 40, width: int = 52, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def style(random_loss_network: LossNetwork) -> metastyle.Style:
    """The start that the shipped initialization predicts, before any step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "load_loss_network", lambda *_, **__: random_loss_network)
        return metastyle.adapt(pixels(64, 64, 1), **QUICK | {"steps": 0})


def test_importing_the_package_does_not_import_torch_or_numpy() -> None:
    code = "import sys, metastyle; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_can_be_imported() -> None:
    for name in metastyle.__all__:
        assert getattr(metastyle, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        metastyle.nothing  # noqa: B018


def test_no_module_hides_a_public_name() -> None:
    """Importing a package ``metastyle.film`` would set that attribute and hide the function."""
    assert not {module.name for module in pkgutil.iter_modules(metastyle.__path__)} & set(metastyle.__all__)


def test_the_result_has_the_type_of_the_picture(style: metastyle.Style, tmp_path: Path) -> None:
    array = pixels()
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    expected = style.stylize(array)
    assert expected.dtype == np.uint8 and expected.shape == array.shape
    assert not np.array_equal(expected, array)

    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), Image.fromarray(array)):
        picture = style.stylize(source)
        assert isinstance(picture, Image.Image) and np.array_equal(np.asarray(picture), expected)

    # In float32: bfloat16 would turn differences of one unit in the last place into levels of 255.
    expected = style.stylize(array, precision="float32")
    tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
    single, batched = (style.stylize(one, precision="float32") for one in (tensor, tensor[None]))
    assert single.shape == tensor.shape and single.dtype == tensor.dtype
    assert torch.equal(single, batched[0])
    assert np.abs(single.permute(1, 2, 0).numpy() * 255 - expected).max() < 1

    floating = style.stylize((array / 255).astype(np.float32), precision="float32")
    assert floating.dtype == np.float32 and np.abs(floating * 255 - expected).max() < 1

    listed = style.stylize([array, Image.fromarray(array)], precision="float32")
    assert np.array_equal(listed[0], expected) and np.array_equal(np.asarray(listed[1]), expected)


def test_a_batch_comes_back_as_a_batch(style: metastyle.Style) -> None:
    arrays = np.stack([pixels(seed=1), pixels(seed=2)])
    expected = np.stack([style.stylize(each) for each in arrays])
    tensor = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    mask = np.ones(arrays.shape[1:3], bool)
    for repaint in (style.stylize, lambda x: metastyle.stylize(x, None, regions=[(mask, style)], feather=0)):
        assert np.array_equal(repaint(arrays), expected)
        assert np.array_equal(repaint(tensor).permute(0, 2, 3, 1).numpy(), expected)
        batch, single = repaint([arrays, arrays[0]])
        assert np.array_equal(batch, expected) and np.array_equal(single, expected[0])
    assert style.stylize(tensor, size=32).shape == (2, 3, 25, 32)


def test_contents_may_be_a_batch_but_a_painting_may_not() -> None:
    photos = np.stack([pixels(64, 64, seed=1), pixels(64, 64, seed=2)])
    listed, batch = (metastyle.adapt(pixels(), contents=given, **QUICK) for given in (list(photos), photos))
    assert batch.curve == listed.curve
    with pytest.raises(metastyle.MetastyleError, match="a batch of 2 pictures, where one is expected"):
        metastyle.adapt(photos, **QUICK)


def test_alpha_is_kept_and_gray_becomes_color(style: metastyle.Style) -> None:
    array = pixels()
    alpha = np.arange(array[:, :, 0].size, dtype=np.uint8).reshape(array.shape[:2])
    result = style.stylize(np.dstack([array, alpha]))
    assert np.array_equal(result[:, :, 3], alpha)
    assert style.stylize(array[:, :, 0]).shape == array.shape


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 5), np.uint8),
        np.full((40, 40, 3), 200.0),
        torch.zeros(3, 40, 40, dtype=torch.int32),
        b"not a picture",
        b"",
    ],
    ids=str,
)
def test_an_unusable_picture_is_refused_in_one_line(style: metastyle.Style, wrong: Any) -> None:
    with pytest.raises(metastyle.MetastyleError) as caught:
        style.stylize(wrong)
    assert "\n" not in str(caught.value)


def test_size_strength_and_keep_color_change_the_result(style: metastyle.Style) -> None:
    array = pixels()
    full = style.stylize(array).astype(int)
    assert style.stylize(array, size=32).shape == (25, 32, 3)
    assert np.array_equal(style.stylize(array, strength=0.0), array)
    half = style.stylize(array, strength=0.5).astype(int)
    assert np.abs(half - (full + array) / 2).max() <= 1
    kept = style.stylize(array, keep_color=True).astype(int)
    assert not np.array_equal(kept, full)
    for strength in (-0.1, 2.1, float("nan")):
        with pytest.raises(metastyle.MetastyleError, match="strength"):
            style.stylize(array, strength=strength)


def test_a_strength_above_one_extrapolates_from_the_base(style: metastyle.Style) -> None:
    array = pixels()
    full, more = (style.stylize(array, strength=s).astype(int) for s in (1.0, 1.5))
    initialization, _ = shipped_initialization()
    theta = dict(initialization.network.named_parameters())
    network = style.network(1.5)
    further = {name: (1.5 * p - 0.5 * theta[name]).detach() for name, p in style.parameters.items()}
    torch.testing.assert_close(dict(network.named_parameters()), without_idle(further))
    assert not np.array_equal(full, more)
    foreign = dataclasses.replace(style, base="0" * 64)
    with pytest.raises(metastyle.MetastyleError, match="another base model"):
        foreign.stylize(array, strength=1.5)


def test_each_region_has_its_own_style(style: metastyle.Style) -> None:
    array = pixels(40, 64)
    mask = np.zeros((40, 64), np.uint8)
    mask[:, 32:] = 255
    painted = style.stylize(array)
    right = metastyle.stylize(array, None, regions=[(mask, style)], feather=0)
    assert np.array_equal(right[:, :32], array[:, :32]) and np.array_equal(right[:, 32:], painted[:, 32:])
    kept = metastyle.stylize(array, style, regions=[(mask, None)], feather=0.02)
    assert np.abs(kept[:, -8:].astype(int) - array[:, -8:]).max() <= 1
    assert np.abs(kept[:, :8].astype(int) - painted[:, :8]).max() <= 1
    with pytest.raises(metastyle.MetastyleError, match="needs the picture's proportions"):
        metastyle.stylize(array, style, regions=[(mask[:, :40], None)])


def test_regions_of_many_pictures_equal_those_of_each_picture_alone(
    style: metastyle.Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((40, 64), np.uint8)
    mask[:, 32:] = 255
    many = [pixels(40, 64, 1), pixels(40, 64, 2), pixels(20, 32, 3)]
    expected = [metastyle.stylize(one, style, regions=[(mask, None)]) for one in many]
    rendered, render_many = [], metastyle.Style.render_many

    def counted(self: metastyle.Style, pictures: Any, **options: Any) -> Any:
        rendered.append(len(pictures))
        return render_many(self, pictures, **options)

    monkeypatch.setattr(metastyle.Style, "render_many", counted)
    shares: list[float] = []
    results = metastyle.stylize(many, style, regions=[(mask, None)], progress=shares.append)
    assert all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True))
    assert rendered == [3]  # together, so that a GPU can take them together
    assert shares == sorted(shares) and shares[-1] == 1


def test_transparent_pixels_do_not_affect_the_result(style: metastyle.Style) -> None:
    array = np.concatenate([pixels(40, 64), np.full((40, 64, 1), 255, np.uint8)], axis=2)
    array[:, 40:, 3] = 0
    other = array.copy()
    other[:, 40:, :3] = 255 - other[:, 40:, :3]
    assert np.array_equal(style.stylize(array)[:, :40], style.stylize(other)[:, :40])
    assert (style.stylize(array)[..., 3] == array[..., 3]).all()


def test_the_brush_changes_the_result(style: metastyle.Style) -> None:
    array = pixels(160, 200)
    assert style.stylize(array, brush=8).shape == array.shape
    assert not np.array_equal(style.stylize(array, brush=8), style.stylize(array))
    with pytest.raises(metastyle.MetastyleError, match="brush is 0"):
        style.stylize(array, brush=0)


def test_matching_colors_changes_the_painting() -> None:
    photo = np.full((64, 64, 3), 128, np.uint8)
    start = QUICK | {"steps": 0}
    matched = metastyle.adapt(pixels(64, 64), match_color=photo, **start)
    plain = metastyle.adapt(pixels(64, 64), **start)
    assert matched.painting_sha256 != plain.painting_sha256


@pytest.mark.parametrize("match", [False, True])
def test_transparent_parts_of_a_painting_do_not_affect_the_style(match: bool) -> None:
    alpha = np.full((64, 64, 1), 255, np.uint8)
    alpha[:, 32:] = 0
    photo = pixels(64, 64, 7) if match else None
    made = []
    for hidden in (0, 255):
        painting = pixels(64, 64)
        painting[:, 32:] = hidden
        hiding = np.concatenate([painting, alpha], axis=2)
        made.append(metastyle.adapt(hiding, match_color=photo, **QUICK | {"steps": 1}))
    assert all((made[0].parameters[name] == p).all() for name, p in made[1].parameters.items())
    assert made[0].painting_sha256 == made[1].painting_sha256
    opaque = metastyle.adapt(pixels(64, 64), match_color=photo, **QUICK | {"steps": 0})
    assert opaque.painting_sha256 != made[0].painting_sha256


def test_statistics_of_a_painting_are_those_of_its_visible_part() -> None:
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:, 32:] = 0
    continued = visible_painting(Picture(pixels(64, 64), alpha)).pixels  # what is hidden, made up
    starts = [
        metastyle.adapt(painting, **QUICK | {"steps": 0})
        for painting in (np.dstack([continued, alpha]), continued)
    ]
    assert any((starts[0].parameters[name] != p).any() for name, p in starts[1].parameters.items())


def test_strips_equal_the_whole_picture(style: metastyle.Style) -> None:
    array = pixels(200, 160)
    shares: list[float] = []
    whole = style.stylize(array).astype(int)
    strips = style.stylize(array, max_memory=16_000_000, progress=shares.append).astype(int)
    assert np.abs(whole - strips).max() <= 1
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["all", "instance_norm"])
def test_a_loaded_style_paints_like_the_saved_one(kind: str, tmp_path: Path) -> None:
    made = metastyle.adapt(pixels(), parameters=kind, **QUICK)
    made.save(tmp_path / "style.safetensors")
    read = metastyle.load(tmp_path / "style.safetensors")
    assert read.kind == kind and read.painting_sha256 == made.painting_sha256
    assert len(read.curve) == 2
    difference = np.abs(made.stylize(pixels()).astype(int) - read.stylize(pixels()).astype(int))
    assert difference.max() <= 3  # half precision
    with pytest.raises(metastyle.MetastyleError, match="exists"):
        made.save(tmp_path / "style.safetensors")
    by_name = metastyle.stylize(pixels(), style=str(tmp_path / "style.safetensors"))
    assert np.array_equal(by_name, read.stylize(pixels()))


def test_the_same_seed_gives_the_same_style_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        metastyle.adapt(pixels(), seed=3, **QUICK).save(tmp_path / name)
    metastyle.adapt(pixels(), seed=4, **QUICK).save(tmp_path / "c")
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_on_start_receives_the_predicted_start_before_the_first_step() -> None:
    """Given a style to start from, the caller knows the start, and ``on_start`` is not called."""
    order: list[Any] = []
    style = metastyle.adapt(
        pixels(), on_start=order.append, on_step=lambda step: order.append(step.step), **QUICK
    )
    first, *steps = order
    assert steps == [1, 2]
    untouched = metastyle.adapt(pixels(), **QUICK | {"steps": 0})
    assert all(torch.equal(first[name], own) for name, own in untouched.parameters.items())
    assert not all(torch.equal(first[name], own) for name, own in style.parameters.items())
    metastyle.adapt(pixels(), start=style, on_start=order.append, **QUICK)
    assert len(order) == 3


def test_adapting_again_with_the_same_settings_reads_the_cache(tmp_path: Path) -> None:
    steps: list[int] = []
    for _ in range(2):
        metastyle.adapt(pixels(), cache=tmp_path, on_step=lambda s: steps.append(s.step), **QUICK)
    assert steps == [1, 2]
    metastyle.adapt(pixels(), cache=tmp_path, on_step=lambda s: steps.append(s.step), **QUICK | {"seed": 9})
    metastyle.adapt(pixels(seed=8), cache=tmp_path, on_step=lambda s: steps.append(s.step), **QUICK)
    assert steps == [1, 2] * 3


def test_an_unwritable_cache_is_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = metastyle.adapt(pixels(), **QUICK)
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file", tmp_path / "full"):
        if cache.name == "full":

            def full(*_: object, **__: object) -> None:
                raise metastyle.MetastyleError("the disk is full")

            monkeypatch.setattr("metastyle.files.replacing", full)
        caplog.clear()
        for _ in range(2):
            assert metastyle.adapt(pixels(), cache=cache, **QUICK).curve == plain.curve
        assert len(caplog.messages) == 1 and "this style will not be cached" in caplog.messages[0]


def test_a_damaged_cached_style_is_made_again(tmp_path: Path) -> None:
    plain = metastyle.adapt(pixels(), cache=tmp_path, **QUICK)
    (cached,) = tmp_path.rglob("*.safetensors")
    whole = cached.read_bytes()
    for damaged in (b"", whole[:-1], b"nonsense" * 100):
        cached.write_bytes(damaged)
        assert metastyle.adapt(pixels(), cache=tmp_path, **QUICK).curve == plain.curve
        assert cached.read_bytes() == whole


def test_a_stopped_adaptation_is_returned_but_not_cached(tmp_path: Path) -> None:
    style = metastyle.adapt(pixels(), cache=tmp_path, on_step=lambda s: False, **QUICK)
    assert len(style.curve) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_contents_may_be_a_photograph_several_or_a_folder(tmp_path: Path) -> None:
    Image.fromarray(pixels(90, 70)).save(tmp_path / "a.png")
    Image.fromarray(pixels(70, 90)).save(tmp_path / "b.jpg")
    folder = metastyle.adapt(pixels(), contents=tmp_path, **QUICK)
    single = metastyle.adapt(pixels(), contents=tmp_path / "a.png", **QUICK)
    several = metastyle.adapt(pixels(), contents=[tmp_path / "a.png", pixels(66, 66)], **QUICK)
    assert len({folder.curve, single.curve, several.curve}) == 3
    assert folder.settings["contents"] == "photos"
    (tmp_path / "empty").mkdir()
    with pytest.raises(metastyle.MetastyleError, match="no pictures"):
        metastyle.adapt(pixels(), contents=tmp_path / "empty", **QUICK)


def test_blending_is_convex_and_mixes_kinds() -> None:
    full = metastyle.adapt(pixels(), **QUICK)
    light = metastyle.adapt(pixels(seed=5), parameters="instance_norm", **QUICK)
    only_full = metastyle.blend([full, light], weights=[1, 0])
    assert np.abs(only_full.stylize(pixels()).astype(int) - full.stylize(pixels())).max() <= 1
    mixed = metastyle.blend([full, light], weights=[3, 1])
    assert mixed.kind == "all" and isinstance(mixed, metastyle.Style)
    name = "down1_norm.weight"
    expected = 0.75 * full.parameters[name] + 0.25 * light.parameters[name]
    assert torch.allclose(mixed.parameters[name], expected, atol=1e-6)


def test_adaptation_trains_on_the_pictures_to_be_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    adapt = api.adapt

    def noting(painting: Any, **options: Any) -> metastyle.Style:
        given.append(options["contents"])
        return adapt(painting, **options, **{k: v for k, v in QUICK.items() if k != "device"})

    monkeypatch.setattr(api, "adapt", noting)
    photos = [pixels(seed=seed) for seed in range(15)]
    mask = np.ones(photos[0].shape[:2], bool)
    metastyle.stylize(photos, pixels(64, 64, 99), regions=[(mask, pixels(64, 64, 98))], size=32, device="cpu")
    assert len(given) == 2  # once per painting, not once per picture
    for contents in given:
        assert len(contents.photos) == 12 and contents.procedural == 0.125
        assert np.array_equal(contents.photos[0].pixels, photos[0])


def test_refresh_cache_replaces_the_cached_style(tmp_path: Path) -> None:
    contents = Contents(lambda: [Picture(pixels(70, 70, seed=1))], place="here")
    other = Contents(lambda: [Picture(pixels(70, 70, seed=2))], place="here")
    first = metastyle.adapt(pixels(), contents=contents, cache=tmp_path, **QUICK)
    assert first.settings["contents"] == "photos and procedural"
    assert metastyle.adapt(pixels(), contents=other, cache=tmp_path, **QUICK).curve == first.curve
    again = metastyle.adapt(pixels(), contents=other, cache=tmp_path, refresh_cache=True, **QUICK)
    assert again.curve != first.curve
    assert metastyle.adapt(pixels(), contents=contents, cache=tmp_path, **QUICK).curve == again.curve


def test_a_builtin_style_is_loaded_by_its_name_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    night = metastyle.load("night")
    assert night.settings["artwork"]["title"] and metastyle.load("Night").painting == night.painting
    mosaic = metastyle.load("mosaic")
    assert mosaic.painting != night.painting
    mosaic.save(tmp_path / "night.safetensors")
    (tmp_path / "night.safetensors").rename("night")
    assert metastyle.load("night").painting == mosaic.painting
    with pytest.raises(metastyle.MetastyleError, match="midnight"):
        metastyle.load("midnight")
