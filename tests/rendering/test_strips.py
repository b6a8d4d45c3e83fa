"""Strips equal the whole picture for any size and plan, in memory and on disk."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.rendering import strips as tiling
from metastyle.rendering.convolutions import Layers
from metastyle.rendering.strips import Moments, Plan, Rendering, Source, make_plan

PLANS = [
    Plan(8, True, False),
    Plan(12, False, False),
    Plan(8, False, True),
    Plan(16, True, True),
    Plan(1000, True, False),
]
CPU = torch.device("cpu")


def _render(network: TransformationNetwork, pixels: np.ndarray, plan: Plan) -> np.ndarray:
    result = np.empty_like(pixels)
    layers = Layers(network, torch.float32, transposed=False)
    Rendering(network, layers, plan).run(Source(pixels, CPU), result)
    return result


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("size", [(16, 16), (41, 17), (67, 98), (401, 16)])
def test_strips_equal_the_whole_picture(
    network: TransformationNetwork,
    make_picture: Callable[..., np.ndarray],
    whole: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    plan: Plan,
) -> None:
    pixels = make_picture(*size, np.float32)
    expected = whole(pixels)
    assert expected.std() > 0.1
    np.testing.assert_allclose(_render(network, pixels, plan), expected, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(16, 90),
    width=st.integers(16, 60),
    rows=st.integers(2, 24).map(lambda n: 4 * n),
    keep_all=st.booleans(),
    on_disk=st.booleans(),
)
def test_random_sizes_and_plans_equal_the_whole_picture(
    network: TransformationNetwork,
    make_picture: Callable[..., np.ndarray],
    whole: Callable[[np.ndarray], np.ndarray],
    height: int,
    width: int,
    rows: int,
    keep_all: bool,
    on_disk: bool,
) -> None:
    pixels = make_picture(height, width, np.float32)
    result = _render(network, pixels, Plan(rows, keep_all, on_disk))
    np.testing.assert_allclose(result, whole(pixels), atol=1e-5)


def test_moments_of_parts_equal_those_of_the_whole() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 5, 60, 7) * torch.linspace(0.01, 30, 60)[:, None] + 100
    moments = Moments(5)
    for first, last in ((0, 1), (1, 20), (20, 59), (59, 60)):
        moments.add(x[:, :, first:last])
    variance, mean = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    torch.testing.assert_close(moments.mean, mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(moments.variance(), variance, rtol=1e-5, atol=0)


@pytest.mark.parametrize("plan", PLANS)
def test_progress_rises_to_one(
    network: TransformationNetwork, make_picture: Callable[..., np.ndarray], plan: Plan
) -> None:
    seen: list[float] = []
    pixels = make_picture(70, 30)
    layers = Layers(network, torch.float32, transposed=False)
    Rendering(network, layers, plan, seen.append).run(Source(pixels, CPU), np.empty_like(pixels))
    assert seen == sorted(seen)
    assert seen[0] < 0.5
    assert seen[-1] == pytest.approx(1.0)
    assert seen[-2] < 1.0 or plan.rows >= 70


def test_smaller_budgets_keep_fewer_results_and_then_use_the_disk() -> None:
    plans = [make_plan(6000, 4000, megabytes * 10**6) for megabytes in (8000, 3500, 2200, 500)]
    expected = [(True, False), (True, False), (False, False), (False, True)]
    assert [(plan.keep_all, plan.on_disk) for plan in plans] == expected
    assert all(plan.rows % 4 == 0 and plan.rows >= tiling.MINIMAL_ROWS for plan in plans)


def test_a_budget_too_small_for_any_strip_is_refused_with_the_least() -> None:
    with pytest.raises(MetastyleError, match=r"1\.0 MB is too little .* 4000 pixels across: 138\.2 MB"):
        make_plan(6000, 4000, 10**6)
    assert make_plan(6000, 4000, 138_300_000).on_disk


def test_a_full_disk_is_reported(
    network: TransformationNetwork, make_picture: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        closed = False

        def seek(self, _: int) -> None: ...

        def write(self, _: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            self.closed = True

    files: list[Full] = []

    def make(**_: object) -> Full:
        files.append(Full())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    with pytest.raises(MetastyleError, match="No space left"):
        _render(network, make_picture(40, 40), Plan(16, False, True))
    assert files
    assert all(file.closed for file in files)


def test_an_exception_from_the_progress_callback_stops_rendering(
    network: TransformationNetwork, make_picture: Callable[..., np.ndarray]
) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    pixels = make_picture(40, 40)
    layers = Layers(network, torch.float32, transposed=False)
    with pytest.raises(KeyboardInterrupt):
        Rendering(network, layers, PLANS[3], stop).run(Source(pixels, CPU), np.empty_like(pixels))
