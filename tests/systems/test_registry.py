import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.systems import weights
from metastyle.systems.registry import SYSTEMS, parameter_counts

NEEDS = {"wct": "wct-5", "shen": "shen", "avatar-net": "avatar-net", "style-swap": "style-swap"}


def test_the_registry_has_the_systems_of_the_table_and_one_more():
    assert len(SYSTEMS) == 8 + 1 == len(parameter_counts())


@pytest.mark.parametrize("name", NEEDS)
def test_untrained_systems_are_refused_with_the_command_that_trains_them(name, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "no source tree")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetastyleError, match=f"metastyle train-baseline {NEEDS[name]}") as caught:
        SYSTEMS[name](torch.device("cpu"))
    assert "\n" not in str(caught.value)
