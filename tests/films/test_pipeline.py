"""Stages overlap within bounds, end together, and pass on exceptions."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import count

import pytest

from metastyle.films.pipeline import handled_behind, made_ahead


def counting(made: list[int], limit: int | None = None) -> Generator[int, None, None]:
    for number in count() if limit is None else range(limit):
        made.append(number)
        yield number


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_items_arrive_in_order_and_are_not_made_far_ahead() -> None:
    made: list[int] = []
    with made_ahead(counting(made, 50), most=3, name="maker") as items:
        for expected in range(50):
            assert next(items) == expected
            assert len(made) <= expected + 5
        assert list(items) == []


@pytest.mark.parametrize("taken", [0, 1, 7])
@pytest.mark.parametrize("most", [1, 3])
def test_leaving_early_stops_the_producer(taken: int, most: int) -> None:
    made: list[int] = []
    with made_ahead(counting(made), most=most, name="maker") as items:
        assert [next(items) for _ in range(taken)] == list(range(taken))
    assert len(made) <= taken + most + 2


def test_an_error_of_the_producer_is_raised_in_its_place() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise ValueError("no more")

    with made_ahead(failing(), most=3, name="maker") as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_all_items_are_handled_before_the_block_ends() -> None:
    handled: list[int] = []
    with handled_behind(handled.extend, most=2, name="handler") as give:
        for number in range(20):
            give(number)
    assert handled == list(range(20))


def test_an_error_of_the_consumer_is_raised_by_a_later_item() -> None:
    def failing(items: Iterator[int]) -> None:
        for item in items:
            raise ValueError(f"not {item}")

    with pytest.raises(ValueError, match="not 0"), handled_behind(failing, most=1, name="handler") as give:
        for number in range(1000):
            give(number)


def test_an_error_at_the_end_is_raised_by_the_block() -> None:
    def failing(items: Iterator[int]) -> None:
        list(items)
        raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"), handled_behind(failing, most=1, name="handler") as give:
        give(1)


def test_the_callers_own_error_takes_precedence() -> None:
    def failing(items: Iterator[int]) -> None:
        list(items)
        raise ValueError("behind")

    with pytest.raises(KeyError), handled_behind(failing, most=1, name="handler") as give:
        give(1)
        raise KeyError
