"""Reads a pickle of float32 arrays without running anything in it.

A pickle is a program. This reader gives it no real functions: the three names that a pickled array needs
are replaced by stand-ins that can only hold numbers, and every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metastyle.errors import MetastyleError


class _DType:
    """A stand-in for numpy.dtype that keeps its code."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """A stand-in for numpy.ndarray: takes a shape and bytes, and checks that they match."""

    value: NDArray[np.float32]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if (
            not isinstance(dtype, _DType)
            or dtype.code != "f4"
            or dtype.order != "<"
            or not isinstance(data, bytes)
        ):
            raise ValueError("an array that is not little-endian float32")
        if any(not isinstance(n, int) or n < 0 for n in shape) or math.prod(shape) * 4 != len(data):
            raise ValueError("an array whose shape does not fit its bytes")
        self.value = np.frombuffer(data, "<f4").reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _RefusedError(repr(f"{module}.{name}")) from None

    def persistent_load(self, pid: object) -> Any:
        raise _RefusedError("a persistent object")


class _RefusedError(Exception):
    pass


def load_arrays(data: bytes, source: str) -> dict[str, NDArray[np.float32]]:
    """Nested dictionaries of arrays, flattened: ``{"VGG16_0/Conv_0/kernel": (3, 3, 3, 64) float32, ...}``.

    ``source`` names the file in errors.
    """
    try:
        content = _Unpickler(io.BytesIO(data)).load()
        arrays: dict[str, NDArray[np.float32]] = {}
        _flatten(content, "", arrays)
    except _RefusedError as refused:
        raise MetastyleError(
            f"{source}: a pickle that asks for {refused}: refused, because only plain arrays are read here"
        ) from None
    except Exception as error:  # damaged pickles raise anything
        raise MetastyleError(
            f"{source}: not a readable pickle of arrays ({' '.join(str(error).split())})"
        ) from None
    return arrays


def _flatten(node: object, path: str, arrays: dict[str, NDArray[np.float32]]) -> None:
    if isinstance(node, _Array):
        arrays[path] = node.value
    elif isinstance(node, dict):
        for key, child in node.items():
            _flatten(child, f"{path}/{key}" if path else str(key), arrays)
    else:
        raise ValueError(f"{path or 'its content'} is neither an array nor a dictionary")
