"""The parameters of Table 1, counted layer by layer from the definitions."""

from metastyle.systems.counts import Count
from metastyle.systems.registry import parameter_counts

COUNTED = {
    "Gatys et al.": 0,
    "Johnson et al.": 1_679_235,
    "WCT": 34_239_311,
    "AdaIN": 7_010_959,
    "Shen et al.": 3_442_432 + 214_197_792 + 1_676_035,
    "Avatar-Net": 143_667_240 + 3_549_827,
    "Style-Swap": 555_328 + 555_075,
    "MicroAST": 471_987,
    "MetaStyle": 1_679_235,
}


def reproduced(row: Count) -> bool:
    """Whether the quoted number, in millions with two decimals, is the counted one, rounded or truncated."""
    if not row.quoted:
        return row.counted == 0
    millions = float(row.quoted.removesuffix("M"))
    return -0.005 <= row.counted / 1e6 - millions < 0.01


def test_all_published_counts_except_style_swaps_are_reproduced():
    found = {row.system: row for row in parameter_counts()}
    assert {name: row.counted for name, row in found.items()} == COUNTED
    assert [name for name, row in found.items() if not reproduced(row)] == ["Style-Swap"]
    assert found["Style-Swap"].quoted == "1.48M" and "not reproduced" in found["Style-Swap"].note


def test_parameters_used_for_repainting_are_counted_separately():
    used = {row.system: row.used for row in parameter_counts()}
    assert used["Avatar-Net"] == 3_505_728 + 3_549_827 + 12
    assert used["Shen et al."] == COUNTED["Shen et al."] - 1_660_448
    assert used["WCT"] == 12_944_972 + (1_731 + 112_451 + 555_075 + 3_505_219 + 12_944_451)
    assert used["AdaIN"] == COUNTED["AdaIN"]
