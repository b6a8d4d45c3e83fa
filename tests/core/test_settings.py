from __future__ import annotations

from annotated_types import MultipleOf
from hypothesis import given
from hypothesis import strategies as st

from metastyle.core.checks import hints
from metastyle.core.network import STRIDE
from metastyle.core.settings import AdaptationSettings


def test_sizes_of_contents_are_multiples_of_the_stride() -> None:
    assert MultipleOf(STRIDE) in hints(AdaptationSettings)["size"].__metadata__


@given(st.integers(1, 300), st.integers(1, 8), st.integers(16, 256).map(lambda n: 4 * n), st.floats(0.5, 1))
def test_pixels_of_the_steps_are_those_that_each_of_them_sees(
    steps: int, batch: int, size: int, early_scale: float
) -> None:
    settings = AdaptationSettings(steps=steps, batch=batch, size=size, early_scale=early_scale)
    sizes = [settings.size_at(step) for step in range(1, steps + 1)]
    assert sizes[-1] == size and all(n % STRIDE == 0 and size / 2 - 2 <= n <= size for n in sizes)
    for taken in {0, 1, steps // 2, steps}:
        assert settings.pixels(taken) == sum(batch * n * n for n in sizes[:taken])
