"""Everything that callers may pass as a picture, read as ``Picture``; results come back as the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.images.convert import array_like, pictures_from_array, pictures_from_tensor, tensor_like
from metastyle.images.decode import from_pil, list_pictures, open_picture
from metastyle.images.encode import to_pil
from metastyle.images.picture import Picture

PictureLike: TypeAlias = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor | Picture
"""A path, the bytes of an encoded file, an open file, a PIL image, an array, a tensor, or a ``Picture``.

Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), tensors (H, W), (1, H, W), (3, H, W) or (4, H, W), of
uint8, uint16, bool (a mask) or floating point in [0, 1]. Where several pictures are expected, an array may
be a batch (B, H, W, 3), and a tensor a batch (B, 3, H, W).
"""


def read_picture(given: PictureLike) -> Picture:
    """Read one picture of any kind.

    Raises:
        MetastyleError: It cannot be read, or it is a batch of several.
    """
    pictures = read_pictures(given)
    if len(pictures) > 1:
        raise MetastyleError(f"a batch of {len(pictures)} pictures, where one is expected: use one of them")
    return pictures[0]


def read_pictures(given: PictureLike) -> list[Picture]:
    """Read the pictures of a batch, or one picture of any other kind.

    Raises:
        MetastyleError: It cannot be read.
    """
    if isinstance(given, Picture):
        return [given]
    if isinstance(given, Tensor):
        return pictures_from_tensor(given)
    if isinstance(given, np.ndarray):
        return pictures_from_array(given)
    return [from_pil(given) if isinstance(given, Image.Image) else open_picture(given)]


def read_photos(given: PictureLike | Iterable[PictureLike] | None, most: int) -> list[Picture]:
    """Read photographs: a picture, a batch, several of either, or a folder; None stands for no photograph.

    Args:
        most: The most pictures to read from a folder.

    Raises:
        MetastyleError: A picture cannot be read, or a folder has none.
    """
    if given is None:
        return []
    if isinstance(given, str | Path) and Path(given).is_dir():
        paths = list_pictures(Path(given))[:most]
        if not paths:
            raise MetastyleError(f"{given}: no pictures in this folder to train on")
        return [open_picture(path) for path in paths]
    single = isinstance(given, str | Path | bytes | Image.Image | np.ndarray | Tensor | Picture)
    if single or hasattr(given, "read"):
        return read_pictures(cast(PictureLike, given))
    if not isinstance(given, Iterable):
        raise MetastyleError(f"photographs are pictures or a folder, not {type(given).__name__}")
    return [picture for one in given for picture in read_pictures(cast(PictureLike, one))]


def repaint_alike(given: Any, repaint: Callable[[list[Picture]], list[Picture]]) -> Any:
    """Apply ``repaint`` to a picture, a batch, or a list of either; the result is of the same kind.

    A path, bytes and an open file become PIL images.

    Raises:
        MetastyleError: A picture cannot be read.
    """
    every = given if isinstance(given, list) else [given]
    read = [read_pictures(one) for one in every]
    results = iter(repaint([picture for pictures in read for picture in pictures]))
    alike = [_alike(one, list(islice(results, len(own)))) for one, own in zip(every, read, strict=True)]
    return alike if isinstance(given, list) else alike[0]


def _alike(given: Any, pictures: list[Picture]) -> Any:
    if isinstance(given, Tensor):
        return tensor_like(given, pictures)
    if isinstance(given, np.ndarray):
        return array_like(given, pictures)
    return pictures[0] if isinstance(given, Picture) else to_pil(pictures[0])
