from __future__ import annotations

import pytest
import torch

from metastyle.bench.nulls import NULLS, covering


def test_the_null_systems_return_the_photograph_or_the_painting() -> None:
    photo, style = torch.rand(1, 3, 20, 30), torch.rand(1, 3, 40, 40)
    photograph, painting = (make(torch.device("cpu")) for make in NULLS.values())
    assert torch.equal(photograph.prepare(style)(photo), photo)
    assert torch.equal(painting.prepare(photo)(photo), photo)
    assert painting.prepare(style)(photo).shape == photo.shape


@pytest.mark.parametrize("size", [(20, 30), (31, 17), (64, 64), (40, 50)])
def test_the_painting_covers_the_picture_and_keeps_its_proportions(size: tuple[int, int]) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 50), indexing="ij")
    found = covering(torch.stack([x, y, 0 * x])[None], *size)[0]
    assert found.shape == (3, *size)
    middle = found[:2].mean((1, 2))
    torch.testing.assert_close(middle, torch.full((2,), 0.5), atol=0.02, rtol=0)
    scale = max(size[0] / 40, size[1] / 50)
    across, down = (
        (found[0, 0, -1] - found[0, 0, 0]) / size[1],
        (found[1, -1, 0] - found[1, 0, 0]) / size[0],
    )
    assert across.item() == pytest.approx(1 / (50 * scale), rel=0.1)
    assert down.item() == pytest.approx(1 / (40 * scale), rel=0.1)
