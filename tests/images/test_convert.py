"""Pictures from and to arrays and tensors of all supported types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.images.convert import (
    array_like,
    from_tensor,
    pictures_from_array,
    pictures_from_tensor,
    tensor_like,
    to_tensor,
)

FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", np.longdouble]
WHOLE = ["u1", "<u2", ">u2"]


def ramp(*shape: int) -> NDArray[np.float64]:
    """Values from 0 to 1 in any shape."""
    return np.linspace(0, 1, int(np.prod(shape))).reshape(shape)


def of_type(values: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "u":
        return np.rint(values * np.iinfo(kind).max).astype(kind)
    return values > 0.5 if kind == np.bool_ else values.astype(kind)


@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLE], ids=str)
@pytest.mark.parametrize("shape", [(20, 24, 3), (20, 24, 4), (2, 20, 24, 3), (1, 20, 24, 4)], ids=str)
def test_arrays_round_trip(dtype: Any, shape: tuple[int, ...]) -> None:
    array = of_type(ramp(*shape), dtype)
    back = array_like(array, pictures_from_array(array))
    assert back.dtype == array.dtype and back.shape == array.shape
    error = np.abs(back.astype(np.float64) - array.astype(np.float64)).max()
    assert error <= (0 if array.dtype.kind == "u" else 1e-5 if array.dtype.itemsize > 2 else 5e-4)


@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLE, bool], ids=str)
def test_an_array_of_one_channel_is_gray(dtype: Any) -> None:
    array = of_type(ramp(20, 24), dtype)
    flat, deep, batch = (
        pictures_from_array(array),
        pictures_from_array(array[:, :, None]),
        pictures_from_array(array[None, :, :, None]),
    )
    assert all(np.array_equal(flat[0].pixels, other[0].pixels) for other in (deep, batch))
    assert all(np.array_equal(flat[0].pixels[..., c], flat[0].pixels[..., 0]) for c in (1, 2))
    assert (flat[0].pixels.min(), flat[0].pixels.max()) == (0, np.iinfo(flat[0].pixels.dtype).max)
    assert array_like(array, flat).shape == (20, 24, 3)


def test_a_boolean_mask_becomes_black_and_white() -> None:
    mask = np.zeros((20, 24), bool)
    mask[:, 12:] = True
    for picture in (*pictures_from_array(mask), *pictures_from_tensor(torch.from_numpy(mask))):
        assert picture.pixels.dtype == np.uint8
        assert (picture.pixels[:, :12] == 0).all() and (picture.pixels[:, 12:] == 255).all()
    assert array_like(mask, pictures_from_array(mask)).dtype == np.uint8
    assert tensor_like(torch.from_numpy(mask), pictures_from_array(mask)).dtype == torch.uint8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 20, 24), (4, 20, 24), (2, 3, 20, 24), (1, 4, 20, 24)], ids=str)
def test_floating_point_tensors_round_trip(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.from_numpy(ramp(*shape)).to(dtype).requires_grad_()
    back = tensor_like(tensor, pictures_from_tensor(tensor))
    assert back.dtype == dtype and back.shape == tensor.shape
    assert (back.double() - tensor.double()).abs().max() <= {torch.bfloat16: 4e-3, torch.float16: 5e-4}.get(
        dtype, 1e-5
    )


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize("shape", [(3, 20, 24), (4, 20, 24), (2, 3, 20, 24)], ids=str)
def test_integer_tensors_round_trip_exactly(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = torch.from_numpy(of_type(ramp(*shape), dtype))
    assert torch.equal(tensor_like(tensor, pictures_from_tensor(tensor)), tensor)


def test_a_tensor_has_its_channels_first() -> None:
    array = of_type(ramp(20, 24, 3), "u1")
    tensor = torch.from_numpy(array).permute(2, 0, 1)  # not contiguous
    assert np.array_equal(pictures_from_tensor(tensor)[0].pixels, array)
    for gray in (tensor[0], tensor[:1]):
        assert np.array_equal(pictures_from_tensor(gray)[0].pixels[..., 2], array[..., 0])


def test_slight_overshoot_is_clipped() -> None:
    array = np.full((20, 24, 3), 0.5, np.float32)
    array[0, 0], array[1, 1] = -0.2, 1.2
    (picture,) = pictures_from_array(array)
    assert (picture.pixels[0, 0] == 0).all() and (picture.pixels[1, 1] == 65535).all()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
@pytest.mark.parametrize(
    ("least", "most"),
    [(0, 255), (0, 2), (-1, 1), (0, 65504), (float("nan"), 1), (0, float("inf"))],
)
def test_values_out_of_range_are_refused(dtype: str, least: float, most: float) -> None:
    array = np.full((20, 24, 3), 0.5, dtype)
    array[0, 0], array[-1, -1] = least, most
    for refuse in (
        lambda: pictures_from_array(array),
        lambda: pictures_from_tensor(torch.from_numpy(array.transpose(2, 0, 1))),
    ):
        with pytest.raises(MetastyleError, match=r"be in \[0, 1\]|not finite") as caught:
            refuse()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((40, 40), np.int32),
        np.zeros((40, 40, 3), np.uint32),
        np.zeros((40, 40, 3), complex),
        np.zeros((40, 40, 3), "U1"),
        np.zeros((40, 40, 3), object),
        np.zeros((3, 40, 40), np.uint8),
        np.zeros((2, 3, 40, 40), np.uint8),
        np.zeros((40, 40, 2), np.uint8),
        np.zeros((0, 40, 3)),
        np.zeros((40, 0, 3)),
        np.zeros((0, 40, 40, 3)),
        np.zeros((8, 40, 3), np.uint8),
        np.zeros(40),
        np.zeros(()),
    ],
    ids=lambda a: f"{a.dtype} {a.shape}",
)
def test_an_array_that_is_not_a_picture_is_refused_in_one_line(wrong: NDArray[Any]) -> None:
    with pytest.raises(MetastyleError, match="picture") as caught:
        pictures_from_array(wrong)
    assert "\n" not in str(caught.value)


def test_a_view_that_torch_only_marks_as_negated_is_a_picture() -> None:
    values = torch.from_numpy(ramp(3, 40, 52)).float()
    negated = torch.complex(values, -values).conj().imag
    assert negated.is_neg()
    (picture,) = pictures_from_tensor(negated)
    np.testing.assert_allclose(picture.pixels / 65535, values.permute(1, 2, 0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_quantized_tensor_is_refused() -> None:
    with pytest.raises(MetastyleError, match="quantized"):
        pictures_from_tensor(torch.quantize_per_tensor(torch.zeros(3, 40, 40), 0.01, 0, torch.quint8))


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(3, 40, 40, dtype=torch.int32),
        torch.zeros(3, 40, 40, dtype=torch.complex64),
        torch.zeros(40, 40, 3),
        torch.zeros(0, 3, 40, 40),
        torch.zeros(3, 0, 40),
        torch.zeros(3, 8, 40),
        torch.zeros(40),
        torch.zeros(()),
        torch.zeros(3, 40, 40, device="meta"),
        torch.zeros(3, 40, 40).to_sparse(),
    ],
    ids=lambda t: f"{t.dtype} {tuple(t.shape)} {t.device} {t.layout}",
)
def test_a_tensor_that_is_not_a_picture_is_refused_in_one_line(wrong: Tensor) -> None:
    with pytest.raises(MetastyleError, match="picture") as caught:
        pictures_from_tensor(wrong)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
    )
)
@settings(deadline=None, max_examples=60)
def test_pixels_round_trip_exactly_through_a_tensor(pixels: NDArray[Any]) -> None:
    pixels.setflags(write=False)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, *pixels.shape[:2]) and tensor.dtype == torch.float32
    assert tensor.min() >= 0 and tensor.max() <= 1 and tensor.is_contiguous()
    assert (from_tensor(tensor, pixels.dtype) == pixels).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_round_trips_exactly_through_a_tensor(dtype: Any) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16, 1).repeat(3, axis=2)
    assert (from_tensor(to_tensor(levels), dtype) == levels).all()


def test_from_tensor_rounds_and_clamps() -> None:
    values = torch.tensor([-0.2, 0.0, 0.499 / 255, 0.501 / 255, 254.6 / 255, 1.0, 7.0])
    expected = [0, 0, 0, 1, 255, 255, 255]
    for tensor in (values.expand(1, 3, 1, 7), values.expand(3, 1, 7), values.expand(1, 3, 1, 7).double()):
        assert from_tensor(tensor)[0, :, 0].tolist() == expected
    half = torch.full((3, 600, 2), 0.5, dtype=torch.bfloat16, requires_grad=True)
    assert (from_tensor(half) == 128).all()


def test_from_tensor_refuses_wrong_shapes_types_and_nan() -> None:
    with pytest.raises(MetastyleError, match="diverged"):
        from_tensor(torch.full((1, 3, 4, 4), float("nan")))
    for shape in ((2, 3, 4, 4), (1, 4, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match="expected a tensor"):
            from_tensor(torch.zeros(shape))
    with pytest.raises(ValueError, match="uint8 or uint16"):
        from_tensor(torch.zeros(3, 4, 4), np.float32)
