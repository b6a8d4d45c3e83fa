import pytest
from hypothesis import given
from hypothesis import strategies as st

from metastyle.training.schedule import ema_decay, progress_of, rate_factor, style_weight_factor


@pytest.mark.parametrize("iteration", [0, 1, 40_000, 99_999])
def test_the_papers_schedule_decays_hyperbolically(iteration: int) -> None:
    progress = progress_of(iteration, 0.0, 100_000, None)
    assert rate_factor("paper", progress) == pytest.approx(1 / (1 + 2.5e-5 * iteration))


@given(st.floats(0, 1), st.sampled_from(["paper", "cosine", "constant"]), st.floats(0, 0.9))
def test_factors_are_between_zero_and_one(progress: float, schedule: str, warm_up: float) -> None:
    assert 0 <= rate_factor(schedule, progress, warm_up) <= 1


def test_cosine_and_warm_up_have_known_values() -> None:
    assert rate_factor("cosine", 0.0) == 1
    assert rate_factor("cosine", 0.5) == pytest.approx(0.5)
    assert rate_factor("cosine", 1.0) == pytest.approx(0)
    assert rate_factor("constant", 0.05, warm_up=0.1) == pytest.approx(0.5)
    assert rate_factor("constant", 0.2, warm_up=0.1) == 1


def test_progress_follows_the_limit_that_ends_first() -> None:
    assert progress_of(30, 6.0, 100, None) == pytest.approx(0.3)
    assert progress_of(30, 6.0, None, 1.0) == pytest.approx(0.1)
    assert progress_of(30, 6.0, 100, 1.0) == pytest.approx(0.3)
    assert progress_of(30, 30.0, 100, 1.0) == pytest.approx(0.5)
    assert progress_of(300, 0.0, 100, 1.0) == 1


def test_the_moving_average_starts_with_a_short_window() -> None:
    assert ema_decay(0.999, 1) == pytest.approx(2 / 11)
    assert ema_decay(0.999, 10**6) == 0.999
    assert ema_decay(0.0, 5) == 0


def test_the_style_weight_rises_from_a_tenth_to_its_full_value() -> None:
    assert style_weight_factor(0.3, 0.0, 0.0) == 1.0
    assert style_weight_factor(0.0, 0.1, 0.4) == style_weight_factor(0.1, 0.1, 0.4) == pytest.approx(0.1)
    assert style_weight_factor(0.3, 0.1, 0.4) == pytest.approx(0.55)
    assert style_weight_factor(0.5, 0.1, 0.4) == style_weight_factor(1.0, 0.1, 0.4) == pytest.approx(1.0)
