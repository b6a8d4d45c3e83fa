from __future__ import annotations

import numpy as np

from metastyle.images.sheet import sheet


def picture(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_are_arranged_in_rows_and_keep_their_proportions() -> None:
    made = sheet([[picture(40, 80, 10), picture(80, 40, 200)], [None, picture(20, 20, 90)]], cell=64)
    assert made.dtype == np.uint8 and made.shape[1] == 2 * 64 + 3 * 8
    wide, tall = made[:, 8:72], made[:, 80:144]
    assert (wide == 10).all(axis=2).sum() == 64 * 32
    assert (tall == 200).all(axis=2).sum() == 32 * 64
    assert (tall == 90).all(axis=2).sum() == 64 * 64
    assert (wide == 90).sum() == 0


def test_labels_are_drawn_above_the_pictures() -> None:
    bare, labeled = (sheet([[picture(32, 32, 255)]], labels, cell=64) for labels in ([], [["photo"]]))
    assert labeled.shape[0] > bare.shape[0]
    assert labeled.min() < 100 < bare.min()
