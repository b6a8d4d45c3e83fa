import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.training.config import TrainingConfig
from metastyle.training.data import Episode, Episodes, Request, split, stream
from metastyle.training.target_cache import TargetCache

Configure = Callable[..., TrainingConfig]


def episodes(config: TrainingConfig, folder: Path, rank: int = 0, world_size: int = 1) -> Episodes:
    pictures = split(config.data, config.objective.inner_steps)
    return Episodes(
        pictures, config.data, config.optimizer, 0, TargetCache(folder), folder / "photos", rank, world_size
    )


def same(a: Episode, b: Episode) -> bool:
    return (
        a.index == b.index
        and torch.equal(a.contents, b.contents)
        and torch.equal(a.queries, b.queries)
        and [p.name for p in a.paintings] == [p.name for p in b.paintings]
    )


def test_splits_are_disjoint_complete_and_stable(config: Configure, tmp_path: Path) -> None:
    data = config().data
    pictures = split(data, inner_steps=1)
    names = [{e.name for e in part} for part in (pictures.inner, pictures.outer, pictures.held_out_contents)]
    assert all(not a & b for a, b in itertools.combinations(names, 2))
    assert len(set.union(*names)) == 12
    assert [len(n) for n in names] == [5, 5, 2]
    assert not {e.name for e in pictures.styles} & {e.name for e in pictures.held_out_styles}
    assert (len(pictures.styles), len(pictures.held_out_styles)) == (7, 2)

    moved = tmp_path / "moved"
    shutil.copytree(data.contents, moved)
    again = split(config(data__contents=str(moved)).data, inner_steps=1)
    assert again.digest == pictures.digest
    (moved / "0.png").rename(moved / "new.png")
    assert split(config(data__contents=str(moved)).data, inner_steps=1).digest != pictures.digest


def test_without_inner_steps_all_photographs_are_queries(config: Configure) -> None:
    pictures = split(config().data, inner_steps=0)
    assert len(pictures.outer) == 10
    assert pictures.contents == 10
    assert split(config().data, inner_steps=1).contents == 10


def test_too_few_pictures_are_refused(config: Configure) -> None:
    with pytest.raises(MetastyleError, match="holds 12 pictures, too few to hold 11 out: use at least 13"):
        split(config(data__held_out_contents=11).data, inner_steps=1)
    with pytest.raises(MetastyleError, match=r"data\.styles is not set"):
        split(config(data__styles="").data, inner_steps=1)


def test_an_episode_depends_only_on_seed_and_index(config: Configure, tmp_path: Path) -> None:
    made = config(objective__inner_steps=1)
    one, two = episodes(made, tmp_path), episodes(made, tmp_path)
    forwards = [one[Request(k, 16)] for k in range(6)]
    backwards = [two[Request(k, 16)] for k in reversed(range(6))]
    assert all(same(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not torch.equal(forwards[0].queries, forwards[1].queries)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_does_not_change_episodes(
    config: Configure, tmp_path: Path, workers: int
) -> None:
    before = torch.get_rng_state()
    made = episodes(config(), tmp_path)
    alone = itertools.islice(stream(made, 3, lambda _: 16, 0), 5)
    with_workers = itertools.islice(stream(made, 3, lambda _: 16, workers), 5)
    assert all(same(a, b) for a, b in zip(alone, with_workers, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_crop_may_depend_on_the_index(config: Configure, tmp_path: Path) -> None:
    row = stream(episodes(config(), tmp_path), 0, lambda index: 16 if index < 2 else 20, 0)
    assert [next(row).queries.shape[-1] for _ in range(4)] == [16, 16, 20, 20]


def test_each_painting_appears_once_per_epoch(config: Configure, tmp_path: Path) -> None:
    made = episodes(config(optimizer__styles=7), tmp_path)
    for index in range(3):
        assert len({p.name for p in made[Request(index, 16)].paintings}) == 7
    orders = [tuple(p.name for p in made[Request(index, 16)].paintings) for index in range(3)]
    assert len(set(orders)) == 3


def test_processes_divide_the_paintings_and_use_the_same_photographs(
    config: Configure, tmp_path: Path
) -> None:
    made = config(optimizer__styles=4)
    whole = episodes(made, tmp_path)[Request(2, 16)]
    parts = [episodes(made, tmp_path, rank, 2)[Request(2, 16)] for rank in range(2)]
    assert all(torch.equal(part.queries, whole.queries) for part in parts)
    assert [p.name for p in parts[0].paintings] == [p.name for p in whole.paintings[0::2]]
    assert [p.name for p in parts[1].paintings] == [p.name for p in whole.paintings[1::2]]


def test_broken_pictures_are_replaced_and_reported(config: Configure, tmp_path: Path) -> None:
    folder = tmp_path / "contents"
    shutil.copytree(config().data.contents, folder)
    for picture in sorted(folder.rglob("*.png"))[::2]:
        picture.write_bytes(picture.read_bytes()[:40])
    made = config(data__contents=str(folder), optimizer__queries=6)
    several = [episodes(made, tmp_path)[Request(k, 16)] for k in range(3)]
    assert any(episode.broken for episode in several)
    assert all(episode.queries.shape == (6, 3, 16, 16) for episode in several)
    again = [episodes(made, tmp_path)[Request(k, 16)] for k in range(3)]
    assert all(same(a, b) and a.broken == b.broken for a, b in zip(several, again, strict=True))


def test_only_broken_pictures_are_an_error(config: Configure, tmp_path: Path) -> None:
    folder = tmp_path / "styles"
    shutil.copytree(config().data.styles, folder)
    for picture in folder.rglob("*.png"):
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    with pytest.raises(MetastyleError, match="100 pictures in a row could not be read"):
        episodes(config(data__styles=str(folder)), tmp_path)[Request(0, 16)]


def test_all_augmentations_appear_and_the_given_share_is_mixed(config: Configure, tmp_path: Path) -> None:
    made = config(data__style_augmentations=3, data__mix_styles=0.5, optimizer__styles=8)
    row = episodes(made, tmp_path)
    seen = [painting for index in range(40) for painting in row[Request(index, 16)].paintings]
    plain = episodes(config(optimizer__styles=8), tmp_path)
    paintings = {p.name for index in range(10) for p in plain[Request(index, 16)].paintings}
    assert len({p.cached for p in seen}) == 3 * len(paintings)
    mixed = [p for p in seen if p.beside is not None]
    assert 0.4 < len(mixed) / len(seen) < 0.6
    assert 0.35 < np.mean([p.share for p in mixed]) < 0.65
    assert all(p.share == 1 for p in seen if p.beside is None)
