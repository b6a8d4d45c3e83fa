from metastyle.bench.published import SECONDS, table_1
from metastyle.bench.speed import Speed
from metastyle.systems.registry import parameter_counts


def test_published_and_measured_times_stand_side_by_side() -> None:
    rows = [
        Speed("j", "Johnson et al.", 512, 0.5, 0.4, 0.6, 3, styles="1"),
        Speed("a", "AdaIN", 512, 1.0, 1.0, 1.0, 3, styles="any"),
        Speed("w", "WCT", 512, error="its weights are missing"),
        Speed("m", "MetaStyle, 20 steps", 512, 0.6, 0.6, 0.6, 3, styles="any"),
        Speed("n", "MetaStyle, 140 steps", 512, 0.7, 0.7, 0.7, 3, styles="any"),
    ]
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in table_1(rows).splitlines()}
    assert lines["AdaIN"] == (
        "| AdaIN | any | 7.01M | 7.01M | 0.0165 s (3.75) |  | 0.032 s (2.19) | 1 s (2.00) |"
    )
    assert lines["Johnson et al."].endswith("| 0.0146 s (1.00) | 0.5 s (1.00) |")
    assert lines["MetaStyle (here 20 steps)"].endswith("| 0.0145 s (0.99) | 0.6 s (1.20) |")
    assert lines["WCT"].endswith("| 1.23 s (84) |  |")
    assert "1.48M | 1.11M" in lines["Style-Swap"]


def test_without_johnson_there_are_no_ratios_here() -> None:
    assert "| 1 s |" in table_1([Speed("a", "AdaIN", 256, 1.0, 1.0, 1.0, 3)])


def test_every_published_system_is_counted() -> None:
    assert SECONDS.keys() <= {count.system for count in parameter_counts()}
