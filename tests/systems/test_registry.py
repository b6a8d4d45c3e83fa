import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.systems.registry import SYSTEMS, parameter_counts
from metastyle.systems.weights import trained_path

NEEDS = {"wct": "wct-5", "shen": "shen", "avatar-net": "avatar-net", "style-swap": "style-swap"}


def test_there_are_eight_as_in_the_table_and_one_more():
    assert len(SYSTEMS) == 8 + 1 == len(parameter_counts())


@pytest.mark.parametrize("name", NEEDS)
def test_what_nobody_trained_says_which_command_does(name):
    if trained_path(NEEDS[name]).exists():
        pytest.skip(f"the weights of {name} are in the source tree")
    with pytest.raises(MetastyleError, match="metastyle train-baseline") as caught:
        SYSTEMS[name](torch.device("cpu"))
    assert "\n" not in str(caught.value)
