from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiffs
from numpy.typing import NDArray

from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture

RGB, CFA, LINEAR_RAW, MASK = 2, 32803, 34892, 4
RNG = np.random.default_rng(3)
FULL = RNG.integers(0, 256, (64, 48, 3), dtype=np.uint8)
SECOND = RNG.integers(0, 256, (64, 48, 3), dtype=np.uint8)
SMALL = RNG.integers(0, 256, (24, 18, 3), dtype=np.uint8)
SMALLEST = RNG.integers(0, 256, (20, 16, 3), dtype=np.uint8)
REDUCED: dict[int, tiffs.Tag] = {254: ("I", [1])}
PLAIN: dict[int, tiffs.Tag] = {254: ("I", [0])}


def page(samples: NDArray[Any], tags: dict[int, tiffs.Tag] | None = None, **options: Any) -> Any:
    return tiffs.directory(samples, options.pop("photometric", RGB), 8, tags=tags, **options)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.LZW])
@pytest.mark.parametrize(
    ("samples", "kinds", "below", "chosen"),
    [
        ([SMALL, FULL], [REDUCED, PLAIN], {0: [1]}, 1),  # nested, as cameras write them
        ([SMALL, FULL], [REDUCED, {}], {}, 1),  # one after the other
        ([SMALL, SMALLEST, FULL], [REDUCED, REDUCED, PLAIN], {0: [1, 2]}, 2),
        (
            [SMALL, FULL],
            [{255: ("H", [2])}, {255: ("H", [1])}],
            {},
            1,
        ),  # the tag of early versions of TIFF
        ([FULL, SMALL, SMALLEST], [PLAIN, REDUCED, REDUCED], {0: [1, 2]}, 0),  # a pyramid
        ([SMALL, FULL], [{}, {}], {}, 0),  # two pages, neither marked as a copy of the other
        ([FULL, SECOND], [{254: ("I", [2])}, {254: ("I", [2])}], {}, 0),
        ([SMALLEST, SMALL], [REDUCED, REDUCED], {}, 1),
    ],
)
def test_a_reduced_page_is_not_chosen(
    samples: list[NDArray[Any]],
    kinds: list[dict[int, tiffs.Tag]],
    below: dict[int, list[int]],
    chosen: int,
    order: str,
    planar: bool,
    compression: int,
) -> None:
    pages = [
        page(s, kind, order=order, planar=planar, compression=compression)
        for s, kind in zip(samples, kinds, strict=True)
    ]
    picture = open_picture(tiffs.chain(pages, order, below=below))
    assert (picture.pixels == samples[chosen]).all()


def test_a_mask_is_not_chosen() -> None:
    bits = (FULL[..., :1] > 100).astype(np.uint8)
    mask = tiffs.directory(bits, MASK, 1, tags={254: ("I", [4])})
    assert (open_picture(tiffs.chain([mask, page(FULL)])).pixels == FULL).all()
    with pytest.raises(MetastyleError, match="holds no picture, only masks"):
        open_picture(tiffs.chain([mask]))


@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
@pytest.mark.parametrize("below", [{0: [1]}, {}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_camera_raw_is_refused_with_advice(
    photometric: int, below: dict[int, list[int]], order: str
) -> None:
    channels = 1 if photometric == CFA else 3
    raw = page(FULL[..., :channels], PLAIN, photometric=photometric, order=order)
    for file in (
        tiffs.chain([page(SMALL, REDUCED, order=order), raw], order, below=below),
        tiffs.chain([raw], order),
    ):
        with pytest.raises(MetastyleError, match="is a camera raw: develop it first"):
            open_picture(file)


def test_camera_raws_are_recognized_by_their_headers() -> None:
    dng = tiffs.chain([page(FULL, {50706: ("B", [1, 4, 0, 0])})])
    canon = bytearray(tiffs.chain([page(FULL)]))
    canon[8:12] = b"CR\2\0"
    heads = (b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0\0\0\1")
    for file in (dng, bytes(canon), *(head + bytes(500) for head in heads)):
        with pytest.raises(MetastyleError, match="is a camera raw: develop it first"):
            open_picture(file)


def test_cyclic_directories_do_not_loop_forever() -> None:
    data = bytearray(tiffs.chain([page(SMALL, REDUCED), page(SMALLEST, REDUCED)], below={0: [1]}))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    link = first + 2 + 12 * entries
    data[link : link + 4] = first.to_bytes(4, "little")
    assert open_picture(bytes(data)).size == (18, 24)


@pytest.mark.parametrize("planar", [False, True])
def test_other_pages_are_mentioned(planar: bool, caplog: pytest.LogCaptureFixture) -> None:
    pages = [page(SMALL, REDUCED), page(FULL, planar=planar), page(SECOND), page(SECOND)]
    assert (open_picture(tiffs.chain(pages)).pixels == FULL).all()
    assert [r.getMessage() for r in caplog.records] == ["<bytes> has 3 pages: the first is used"]
    caplog.clear()
    bits = (FULL[..., :1] > 100).astype(np.uint8)
    mask = tiffs.directory(bits, MASK, 1, tags={254: ("I", [4])})
    open_picture(tiffs.chain([*pages[:2], mask]))  # copies and masks of it
    assert not caplog.records


def test_a_damaged_second_page_costs_nothing() -> None:
    data = bytearray(tiffs.chain([page(FULL), page(SECOND)]))
    first = int.from_bytes(data[4:8], "little")
    link = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[link : link + 4] = (len(data) + 1000).to_bytes(4, "little")
    assert (open_picture(bytes(data)).pixels == FULL).all()
