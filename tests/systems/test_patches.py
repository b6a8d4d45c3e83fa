import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.errors import MetastyleError
from metastyle.systems import patches
from metastyle.systems.patches import best_matches, paste, swap

SIDE = st.integers(5, 9)


def loops(content, style, size):
    """Equation 1 and the averaging of overlapping patches, in plain loops."""
    _, height, width = content.shape
    _, style_height, style_width = style.shape
    index = torch.zeros(height - size + 1, width - size + 1, dtype=torch.long)
    total, count = torch.zeros_like(content), torch.zeros(height, width, dtype=content.dtype)
    every = [
        style[:, y : y + size, x : x + size]
        for y in range(style_height - size + 1)
        for x in range(style_width - size + 1)
    ]
    for y in range(height - size + 1):
        for x in range(width - size + 1):
            own = content[:, y : y + size, x : x + size]
            scores = torch.stack([(own * p).sum() / (own.norm() * p.norm()) for p in every])
            best = int(scores.argmax())
            index[y, x] = best
            total[:, y : y + size, x : x + size] += every[best]
            count[y : y + size, x : x + size] += 1
    return index, total / count


@given(
    sides=st.tuples(SIDE, SIDE, SIDE, SIDE),
    size=st.sampled_from([1, 3, 5]),
    table_bytes=st.sampled_from([1, 20_000, 1 << 20]),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=20)
def test_matching_equals_the_definition(sides, size, table_bytes, seed):
    generator = torch.Generator().manual_seed(seed)
    content = torch.randn(4, *sides[:2], generator=generator, dtype=torch.float64)
    style = torch.randn(4, *sides[2:], generator=generator, dtype=torch.float64)
    index, picture = loops(content, style, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "TABLE_BYTES", table_bytes)
        assert torch.equal(best_matches(content, style, size), index)
        torch.testing.assert_close(swap(content, style, size), picture)


def test_a_style_matches_itself():
    torch.manual_seed(0)
    style = torch.randn(8, 7, 6)
    assert torch.equal(best_matches(style, style, 3).flatten(), torch.arange(5 * 4))
    torch.testing.assert_close(swap(style, style, 3), style)
    torch.testing.assert_close(swap(3 * style, style, 3), style)  # normalized, so the scale does not matter
    twice = torch.cat([style, 4 * style], dim=2)  # columns 6 to 11 repeat 0 to 5; the first match wins
    assert torch.equal(best_matches(style, twice, 1) % 12, torch.arange(6).expand(7, 6))


def test_tables_of_correlations_stay_within_the_memory_limit(monkeypatch):
    torch.manual_seed(0)
    content, style = torch.randn(2, 20, 20), torch.randn(2, 40, 30)
    sizes = []
    matmul = torch.Tensor.__matmul__

    def recorded(a, b):
        result = matmul(a, b)
        sizes.append(result.numel() * result.element_size())
        return result

    monkeypatch.setattr(torch.Tensor, "__matmul__", recorded)
    limit = 1_000_000
    whole = best_matches(content, style, 3)
    sizes.clear()
    monkeypatch.setattr(patches, "TABLE_BYTES", limit)
    assert torch.equal(best_matches(content, style, 3), whole)
    assert len(sizes) > 1 and max(sizes) <= limit


def test_flat_features_give_finite_results():
    style = torch.zeros(3, 5, 5)
    assert swap(torch.randn(3, 6, 6), style, 3).isfinite().all()


def test_overlapping_patches_are_averaged():
    style = torch.arange(4.0).view(1, 1, 4)
    index = torch.tensor([[0, 2]])  # patches of one value are copied
    assert paste(style, index, 1).tolist() == [[[0.0, 2.0]]]
    wide = torch.arange(9.0).view(1, 3, 3)
    pasted = paste(wide, torch.tensor([[0, 3]]), 2)  # patches [[0,1],[3,4]] and [[4,5],[7,8]]
    assert pasted.tolist() == [[[0.0, (1 + 4) / 2, 5.0], [3.0, (4 + 7) / 2, 8.0]]]


def test_features_smaller_than_a_patch_are_refused():
    with pytest.raises(MetastyleError, match="patches of 5 x 5 do not fit into features of 4x9 and 7x7"):
        best_matches(torch.zeros(1, 9, 4), torch.zeros(1, 7, 7), 5)
