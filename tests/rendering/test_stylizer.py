"""Results keep size and type, equal those of the network, and wrong input is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.rendering import stylizer as stylizer_module
from metastyle.rendering.stylizer import Stylizer

Make = Callable[..., np.ndarray]
Whole = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def stylizer(network: TransformationNetwork) -> Stylizer:
    return Stylizer(network, device="cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(16, 16), (17, 103), (103, 17), (50, 50)])
def test_render_equals_the_network(
    stylizer: Stylizer, make_picture: Make, whole: Whole, size: tuple[int, int], dtype: Any
) -> None:
    pixels = make_picture(*size, dtype)
    result = stylizer.render(pixels)
    assert (result.shape, result.dtype) == (pixels.shape, pixels.dtype)
    difference = result - whole(pixels) * np.iinfo(dtype).max
    assert np.abs(difference).max() < 0.5 + 1e-5 * np.iinfo(dtype).max


@pytest.mark.parametrize(("size", "max_memory"), [((16, 4000), 1_000_000), ((4000, 16), 6_000_000)])
def test_a_long_narrow_picture_in_little_memory_equals_the_network(
    network: TransformationNetwork, make_picture: Make, whole: Whole, size: tuple[int, int], max_memory: int
) -> None:
    pixels = make_picture(*size, np.uint16)
    result = Stylizer(network, device="cpu", max_memory=max_memory).render(pixels)
    assert np.abs(result - whole(pixels) * 65535).max() < 1.2


def test_pictures_are_not_modified_and_may_be_read_only_and_strided(
    stylizer: Stylizer, make_picture: Make
) -> None:
    pixels = make_picture(40, 60)
    view = np.flip(pixels, 1)
    view.flags.writeable = False
    before = pixels.copy()
    result = stylizer.render(view)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(result, stylizer.render(np.ascontiguousarray(view)))


def test_render_many_equals_rendering_each(stylizer: Stylizer, make_picture: Make) -> None:
    pictures = [make_picture(20, 30, seed=i) for i in range(3)] + [make_picture(33, 16, np.uint16)]
    for together, pixels in zip(stylizer.render_many(pictures), pictures, strict=True):
        np.testing.assert_array_equal(together, stylizer.render(pixels))
    assert stylizer.render_many([]) == []


def test_a_forward_pass_of_a_batch_equals_rendering_each(
    network: TransformationNetwork, make_picture: Make
) -> None:
    # The path for GPUs, on the CPU.
    stylizer = Stylizer(network, device="cpu")
    pictures = np.stack([make_picture(21, 30, seed=i) for i in range(3)])
    for together, pixels in zip(stylizer._forward(pictures), pictures, strict=True):
        assert np.abs(together.astype(int) - stylizer.render(pixels)).max() <= 1


@pytest.mark.parametrize(
    ("batch", "sizes"), [(None, [3, 1, 1]), (2, [2, 1, 1, 1]), (1, [1, 1, 1, 1, 1])], ids=str
)
def test_a_gpu_renders_consecutive_pictures_of_one_size_together(
    network: TransformationNetwork,
    make_picture: Make,
    monkeypatch: pytest.MonkeyPatch,
    batch: int | None,
    sizes: list[int],
) -> None:
    stylizer = Stylizer(network, device="cpu", max_memory=640 * 20 * 30 * 3)
    monkeypatch.setattr(stylizer, "_forward_fits", lambda pixels: True)  # as on a GPU
    forward, taken = stylizer._forward, []
    monkeypatch.setattr(stylizer, "_forward", lambda many: taken.append(len(many)) or forward(many))
    pictures = [make_picture(20, 30, seed=i) for i in range(3)]
    pictures += [make_picture(20, 30, np.uint16), make_picture(33, 16)]
    seen: list[float] = []
    results = stylizer.render_many(pictures, batch=batch, progress=seen.append)
    assert taken == sizes
    assert [r.shape for r in results] == [p.shape for p in pictures]
    assert len(seen) == len(sizes) and seen == sorted(seen) and seen[-1] == pytest.approx(1)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_must_be_a_positive_whole_number(stylizer: Stylizer, batch: Any) -> None:
    with pytest.raises(MetastyleError, match="batch is"):
        stylizer.render_many([], batch=batch)


def test_tensors_equal_the_network(stylizer: Stylizer, make_picture: Make, whole: Whole) -> None:
    pictures = [make_picture(19, 34, np.float32, seed=i) for i in range(2)]
    x = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in pictures])
    y = stylizer.render_tensor(x)
    for result, picture in zip(y, pictures, strict=True):
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy(), whole(picture), atol=1e-5)
    assert stylizer.render_tensor(x.half()).dtype == torch.float16
    assert stylizer.render_tensor(x[:0]).shape == x[:0].shape


def test_bfloat16_is_close_to_float32(
    network: TransformationNetwork, make_picture: Make, whole: Whole
) -> None:
    pixels = make_picture(48, 64)
    result = Stylizer(network, device="cpu", precision="bfloat16").render(pixels)
    difference = np.abs(result / 255 - whole(pixels))
    assert 0 < difference.mean() < 0.02


def test_later_changes_of_the_network_have_no_effect(
    network: TransformationNetwork, make_picture: Make
) -> None:
    own = TransformationNetwork()
    own.load_state_dict(network.state_dict())
    stylizer = Stylizer(own, device="cpu")
    with torch.no_grad():
        own.out.bias.add_(5)
    pixels = make_picture(20, 20)
    expected = Stylizer(network, device="cpu").render(pixels)
    np.testing.assert_array_equal(stylizer.render(pixels), expected)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((15, 40, 3), np.uint8), "40x15 pixels: each side must have at least 16"),
        (np.zeros((0, 40, 3), np.uint8), "at least 16"),
        (np.broadcast_to(np.uint8(0), (10_001, 10_000, 3)), "10000x10001 .* 100 megapixels"),
        (np.zeros((40, 40), np.uint8), r"shape \(40, 40\)"),
        (np.zeros((40, 40, 4), np.uint8), r"\(height, width, 3\)"),
        (np.zeros((40, 40, 3), np.float64), "float64: it must be uint8 or uint16"),
    ],
)
def test_invalid_pictures_are_refused(stylizer: Stylizer, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(MetastyleError, match=message):
        stylizer.render(pixels)
    with pytest.raises(MetastyleError, match=message):
        stylizer.render_many([pixels])


@pytest.mark.parametrize("x", [torch.zeros(3, 40, 40), torch.zeros(1, 3, 40, 40, dtype=torch.uint8)])
def test_invalid_tensors_are_refused(stylizer: Stylizer, x: torch.Tensor) -> None:
    with pytest.raises(MetastyleError, match="floating point"):
        stylizer.render_tensor(x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "gpu"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"max_memory": 512}, "max_memory is 512: use a whole number of at least 1000000"),
        ({"max_memory": -1}, "max_memory is -1"),
        ({"max_memory": 2e9}, "max_memory is 2000000000.0"),
        ({"max_memory": True}, "max_memory is True"),
    ],
)
def test_invalid_settings_are_refused(network: TransformationNetwork, settings: Any, message: str) -> None:
    with pytest.raises(MetastyleError, match=message):
        Stylizer(network, **settings)


def test_running_out_of_memory_is_reported_with_advice(
    stylizer: Stylizer, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stylizer_module.Rendering, "run", fail)
    with pytest.raises(MetastyleError, match="lower max_memory"):
        stylizer.render(make_picture(20, 20))
