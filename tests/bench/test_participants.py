"""Systems are made from their names; the example in the documentation works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from metastyle.bench.participants import maker
from metastyle.errors import MetastyleError

PAGE = Path(__file__).parents[2] / "docs" / "benchmark.md"


def test_the_documented_example_of_a_system_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None and len(code[1].splitlines()) <= 30
    (tmp_path / "mine.py").write_text(code[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "mine:ColorTransfer strength=0.8" in PAGE.read_text(encoding="utf-8")
    system = maker("mine:ColorTransfer strength=0.8")(torch.device("cpu"))
    assert (system.name, system.parameters, system.styles) == ("Color transfer", 0, "any")
    torch.manual_seed(0)
    style, photo = 0.4 + 0.2 * torch.rand(1, 3, 40, 30), torch.rand(1, 3, 32, 48) ** 2
    picture = system.prepare(style)(photo)
    expected = 0.2 * photo.mean((2, 3)) + 0.8 * style.mean((2, 3))
    assert picture.shape == photo.shape
    torch.testing.assert_close(picture.mean((2, 3)), expected, atol=1e-3, rtol=0)


def test_weights_are_passed_to_systems_that_accept_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two_for_a_test.py").write_text(
        "class Asks:\n"
        "    name, parameters, styles = 'Asks', 0, 'any'\n"
        "    def __init__(self, device, weights=None):\n"
        "        self.weights = weights\n"
        "class Other:\n"
        "    name, parameters, styles = 'Other', 0, 'any'\n"
        "    def __init__(self, device):\n"
        "        pass\n"
    )
    monkeypatch.chdir(tmp_path)
    cpu, folder = torch.device("cpu"), tmp_path / "weights"
    with pytest.raises(MetastyleError, match="no such folder of trained weights"):
        maker("two_for_a_test:Asks", folder)
    folder.mkdir()
    assert maker("two_for_a_test:Asks weights=weights", tmp_path)(cpu).weights == Path("weights")  # type: ignore[attr-defined]
    assert maker("two_for_a_test:Asks", folder)(cpu).weights == folder  # type: ignore[attr-defined]
    assert maker("two_for_a_test:Asks")(cpu).weights is None  # type: ignore[attr-defined]
    assert maker("two_for_a_test:Other", folder)(cpu).name == "Other"


def test_systems_are_made_from_names_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_a_test.py").write_text(
        "class Mine:\n"
        "    name, parameters, styles = 'Mine', 0, 'any'\n"
        "    def __init__(self, device, gain=1.0):\n"
        "        self.gain = gain\n"
        "    def prepare(self, style):\n"
        "        return lambda photo: photo * self.gain\n"
    )
    monkeypatch.chdir(tmp_path)
    system = maker("mine_for_a_test:Mine gain=0.5")(torch.device("cpu"))
    assert system.prepare(torch.rand(1, 3, 8, 8))(torch.ones(1, 3, 8, 8)).max() == 0.5
    assert maker("metastyle steps=7")(torch.device("cpu")).name == "MetaStyle, 7 steps"
    for text, expected in (
        ("nonsense", "use one of gatys"),
        ("mine_for_a_test:Yours", "Yours"),
        ("no_such_module:X", "no_such_module"),
        ("metastyle steps", "key=value"),
        ("", "use one of gatys"),
        ("wct weights=5", "5: no such folder"),
    ):
        with pytest.raises(MetastyleError, match=expected):
            maker(text)
    with pytest.raises(MetastyleError, match="gian"):
        maker("mine_for_a_test:Mine gian=2")(torch.device("cpu"))
