from __future__ import annotations

import pytest
import torch

from metastyle.core.device import compute_dtype, pick_device
from metastyle.errors import MetastyleError


def test_auto_picks_a_usable_device() -> None:
    device = pick_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2


def test_a_missing_device_is_an_error_without_fallback() -> None:
    with pytest.raises(MetastyleError, match="not on this machine"):
        pick_device(f"cuda:{torch.cuda.device_count() + 7}")


@pytest.mark.parametrize("name", ["", "gpu", "cpu:x", "tpu\n"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(MetastyleError, match="device"):
        pick_device(name)


def test_the_compute_dtype_can_multiply_matrices() -> None:
    device = pick_device("auto")
    dtype = compute_dtype(device)
    ones = torch.ones(8, 8, dtype=dtype, device=device)
    assert (ones @ ones).sum().item() == 512
