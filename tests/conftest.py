"""What tests of several rooms share."""

from __future__ import annotations

import pytest

from metastyle.core.loss_network import LossNetwork
from metastyle.weights.loss_network import UnreachableWeightsError, load_loss_network


@pytest.fixture(scope="session")
def loss_network() -> LossNetwork:
    """VGG-16 with its true weights, fetched into the user's cache where they are not there yet."""
    try:
        return load_loss_network()
    except UnreachableWeightsError as error:
        pytest.skip(str(error))
