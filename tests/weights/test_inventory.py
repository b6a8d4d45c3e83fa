import pytest

from metastyle.errors import MetastyleError
from metastyle.weights import inventory
from metastyle.weights.vgg16 import VGG16


def test_the_inventory_has_every_file_and_its_state(tmp_path):
    missing = inventory.weight_files(tmp_path)[0]
    assert (missing.file, missing.state, missing.bytes) == (VGG16, "missing", 0)
    assert missing.path == tmp_path / VGG16.file_name
    for state in inventory.weight_files(tmp_path):
        assert state.file.origin and state.file.license and state.file.what
        assert inventory.verify(state.file.name, cache_dir=tmp_path) == state
    for ask in (inventory.verify, inventory.fetch):
        with pytest.raises(MetastyleError, match="no weight file is called 'vgg19': use one of vgg16"):
            ask("vgg19", cache_dir=tmp_path)
