from pathlib import Path
from typing import Any

import pytest
import torch

from metastyle.core.losses import StyleTarget, style_target
from metastyle.training.target_cache import TargetCache, load_target, rounded, save_target, side_by_side


def a_target(vgg: Any, seed: int = 0) -> StyleTarget:
    picture = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(seed))
    return style_target(vgg, picture)


def test_targets_are_stored_rounded(vgg: Any, tmp_path: Path) -> None:
    target = a_target(vgg)
    path = tmp_path / "new" / "one.safetensors"
    save_target(path, target)
    back, expected = load_target(path), rounded(target)
    assert back is not None
    for a, b, c in zip(
        (*back.grams, back.statistics),
        (*expected.grams, expected.statistics),
        (*target.grams, target.statistics),
        strict=True,
    ):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-7)
    assert all(torch.equal(g, g.T) for g in back.grams)


def test_only_half_of_each_symmetric_matrix_is_stored(vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_target(path, a_target(vgg))
    assert path.stat().st_size < 2 * (sum(c * (c + 1) // 2 for c in (64, 128, 256, 512)) + 1920) + 2000


def test_missing_and_damaged_targets_are_not_read(vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    assert load_target(path) is None
    save_target(path, a_target(vgg))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert load_target(path) is None
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert load_target(path) is None


def test_names_depend_on_picture_and_preparation(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    names = {cache.path(b"a", "side 16"), cache.path(b"b", "side 16"), cache.path(b"a", "side 20")}
    assert len(names) == 3
    assert cache.path(b"a", "side 16") in names


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_side_by_side_equals_the_target_of_joined_features(share: float) -> None:
    """Compared with moments and Gram matrices of features put side by side."""
    generator = torch.Generator().manual_seed(1)
    whole, width = 40, round(40 * share)
    channels = (4, 6)
    features = [torch.rand(2, c, 8, whole, generator=generator, dtype=torch.float64) for c in channels]

    def described(maps: list[torch.Tensor]) -> StyleTarget:
        flat = [f.flatten(1) for f in maps]
        grams = tuple(f @ f.T / f.numel() for f in flat)
        means, deviations = [f.mean(1) for f in flat], [f.std(1, correction=0) for f in flat]
        return StyleTarget(grams, torch.cat(means + deviations))

    # Each half repeats one column, so that it has the same statistics at any width.
    columns = [f[:, :, :, :1] for f in features]
    one, other = (described([f[k] for f in columns]) for k in (0, 1))
    joined = [torch.cat([f[0].expand(-1, -1, width), f[1].expand(-1, -1, whole - width)], 2) for f in columns]
    got, expected = side_by_side(one, other, share), described(joined)
    for a, b in zip((*got.grams, got.statistics), (*expected.grams, expected.statistics), strict=True):
        torch.testing.assert_close(a, b)
