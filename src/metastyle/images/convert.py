"""Conversion between pictures and numpy arrays or torch tensors.

``to_tensor`` and ``from_tensor`` convert pixels for the networks and back. The other functions turn a
caller's arrays and tensors into pictures, and results into the caller's type. Channels come last in arrays
and first in tensors: one (gray, or a mask), three (RGB) or four (RGB and alpha). Numbers are uint8, uint16,
bool or floating point in [0, 1], in either byte order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.images.picture import ROWS, Picture, Samples, check_pixels, check_size

_OVERSHOOT = 0.5  # filters and noise exceed [0, 1] slightly, data of another range by more
_NUMPYS = (torch.float16, torch.float32, torch.float64)  # not bfloat16, for instance


def to_tensor(pixels: Samples) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (1, 3, H, W) float32 in [0, 1], contiguous."""
    check_pixels(pixels)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes).div_(float(np.iinfo(pixels.dtype).max))[None]


def from_tensor(tensor: Tensor, dtype: DTypeLike = np.uint8) -> Samples:
    """(1, 3, H, W) or (3, H, W) in [0, 1], clamped -> (H, W, 3), rounded. Inverts ``to_tensor`` exactly."""
    planes = tensor.detach()
    if planes.ndim == 4 and planes.shape[0] == 1:
        planes = planes[0]
    if planes.ndim != 3 or planes.shape[0] != 3:
        raise ValueError(f"expected a tensor (1, 3, H, W) or (3, H, W), not {tuple(tensor.shape)}")
    kind = np.dtype(dtype)
    if kind not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are uint8 or uint16, not {kind}")
    pixels = np.empty((*planes.shape[1:], 3), dtype=kind)
    for top in range(0, pixels.shape[0], ROWS):
        rows = planes[:, top : top + ROWS].to("cpu", torch.float32)
        if not bool(torch.isfinite(rows).all()):
            raise MetastyleError("the picture has values that are not numbers: the adaptation has diverged")
        scaled = rows.clamp(0, 1).mul_(float(np.iinfo(kind).max)).round_()
        pixels[top : top + ROWS] = scaled.permute(1, 2, 0).numpy()
    return pixels


def pictures_from_array(array: NDArray[Any]) -> list[Picture]:
    """The picture in (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or those in a batch of one of the last three.

    Floating point becomes 16 bits; values slightly outside [0, 1] are clipped. bool becomes 0 and 255.

    Raises MetastyleError for another shape or type, for numbers that are not finite or clearly outside
    [0, 1], and for sides shorter than a picture's.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3, 4) or (array.ndim > 2 and array.shape[-1] not in (1, 3, 4)):
        raise MetastyleError(
            f"an array of shape {array.shape} is no picture: use (H, W), (H, W, 1), (H, W, 3) or (H, W, 4),"
            " or a batch (B, H, W, 3)"
        )
    if not len(array):
        raise MetastyleError(f"an array of shape {array.shape} is empty: use a picture")
    batch = array if array.ndim == 4 else array[None]
    return [_picture(each if each.ndim == 3 else each[:, :, None], "an array") for each in batch]


def pictures_from_tensor(tensor: Tensor) -> list[Picture]:
    """The picture in (H, W), (1, H, W), (3, H, W) or (4, H, W), or those in a batch of one of the last three.

    As ``pictures_from_array``; the tensor may be on any device, in any floating point type.
    """
    if tensor.dim() not in (2, 3, 4) or (tensor.dim() > 2 and tensor.shape[-3] not in (1, 3, 4)):
        raise MetastyleError(
            f"a tensor of shape {tuple(tensor.shape)} is not a picture: use (3, H, W), a batch (B, 3, H, W),"
            " or one or four channels instead of three"
        )
    if tensor.device.type == "meta" or tensor.layout != torch.strided:
        raise MetastyleError("a tensor without data, or a sparse one, is not a picture")
    if tensor.is_quantized:
        raise MetastyleError("a quantized tensor is not a picture: dequantize it first")
    if not len(tensor):
        raise MetastyleError(f"a tensor of shape {tuple(tensor.shape)} is empty: use a picture")
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    if tensor.is_floating_point() and tensor.dtype not in _NUMPYS:
        tensor = tensor.float()
    while tensor.dim() < 4:
        tensor = tensor[None]
    return [_picture(each.permute(1, 2, 0).numpy(), "a tensor") for each in tensor]


def array_like(source: NDArray[Any], pictures: Sequence[Picture]) -> NDArray[Any]:
    """``pictures`` as an array of the type of ``source`` (uint8 for bool): a batch if that is one.

    (H, W, 3), or (H, W, 4) with alpha.
    """
    results = [_numbers(picture, source.dtype) for picture in pictures]
    if source.ndim < 4:
        return results[0]
    return np.stack(results).astype(results[0].dtype, copy=False)  # np.stack changes the byte order


def tensor_like(source: Tensor, pictures: Sequence[Picture]) -> Tensor:
    """``pictures`` as a tensor of the type (uint8 for bool) and on the device of ``source``.

    (3, H, W), or (4, H, W) with alpha; a batch if ``source`` is one.
    """
    results = []
    for picture in pictures:
        if source.is_floating_point():
            result = to_tensor(picture.pixels)[0]
            if picture.alpha is not None:
                alpha = torch.from_numpy(picture.alpha.astype(np.float32))
                result = torch.cat([result, alpha[None] / float(np.iinfo(picture.alpha.dtype).max)])
            result = result.to(source.dtype)
        else:
            result = torch.from_numpy(_channels(picture).transpose(2, 0, 1).copy())
        results.append(result.to(source.device))
    return torch.stack(results) if source.dim() == 4 else results[0]


def _picture(array: NDArray[Any], kind: str) -> Picture:
    """Of (H, W, 1), (H, W, 3) or (H, W, 4)."""
    check_size((array.shape[1], array.shape[0]), kind)
    samples = _samples(array, kind)
    if samples.shape[2] == 1:
        return Picture(pixels=np.repeat(samples, 3, axis=2))
    alpha = np.ascontiguousarray(samples[:, :, 3]) if samples.shape[2] == 4 else None
    return Picture(pixels=np.ascontiguousarray(samples[:, :, :3]), alpha=alpha)


def _samples(array: NDArray[Any], kind: str) -> Samples:
    """uint8 or uint16, in this machine's byte order."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise MetastyleError(
            f"{kind} of type {array.dtype} is no picture: use uint8, uint16, bool or floating point in [0, 1]"
        )
    least, most = float(array.min()), float(array.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise MetastyleError(f"{kind} with values that are not finite is not a picture")
    if least < -_OVERSHOOT or most > 1 + _OVERSHOOT:
        raise MetastyleError(
            f"floating point from {least:.4g} to {most:.4g} is not a picture: values must be in [0, 1]"
            " (divide 0 to 255 by 255, or use uint8)"
        )
    samples = np.empty(array.shape, np.uint16)
    for top in range(0, len(array), ROWS):
        rows = array[top : top + ROWS].astype(np.float32)
        samples[top : top + ROWS] = rows.clip(0, 1) * 65535 + np.float32(0.5)
    return samples


def _channels(picture: Picture) -> Samples:
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[:, :, None]], axis=2)


def _numbers(picture: Picture, dtype: np.dtype[Any]) -> NDArray[Any]:
    samples: NDArray[Any] = _channels(picture)
    if dtype == np.bool_:
        return samples
    if dtype.kind == "f":
        wide = np.result_type(dtype, np.float32)  # float16 ends at 65504
        samples = samples / wide.type(np.iinfo(samples.dtype).max)
    return samples.astype(dtype, copy=False)
