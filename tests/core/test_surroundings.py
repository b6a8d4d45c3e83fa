from __future__ import annotations

import threading
from collections.abc import Generator

import pytest
import torch
from surroundings import SURROUNDINGS

from metastyle.core.surroundings import each_step, own_surroundings


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_autocast_uses_the_current_weights(surroundings: str) -> None:
    """Autocast caches rounded weights until the outermost block ends, which is the caller's."""
    layer = torch.nn.Linear(4, 4, bias=False)
    x = torch.ones(1, 4)
    with SURROUNDINGS[surroundings](), own_surroundings():
        results = []
        for value in (1.0, 2.0):
            with torch.no_grad():
                layer.weight.fill_(value)
            with torch.autocast("cpu", torch.bfloat16):
                results.append(layer(x)[0, 0].item())
    assert results == [4, 8]


def test_a_generator_restores_the_callers_settings_between_steps() -> None:
    @each_step
    def two() -> Generator[bool, None, None]:
        try:
            yield torch.is_grad_enabled()
            yield torch.is_grad_enabled()
        finally:
            closed.append(True)

    closed: list[bool] = []
    with torch.no_grad():
        steps = two()
        for inside in steps:
            assert inside and not torch.is_grad_enabled()
            break
        steps.close()
    assert closed == [True]


def test_strict_determinism_is_restored_when_the_last_thread_leaves() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        inside, leave = threading.Event(), threading.Event()

        def work() -> None:
            with own_surroundings():
                inside.set()
                leave.wait(10)

        other = threading.Thread(target=work)
        with own_surroundings():
            other.start()
            assert inside.wait(10)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        leave.set()
        other.join()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
