import pickle
from pathlib import Path

import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.weights.torch_file import read_state


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("it-ran"),)


def test_tensors_are_read(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a.pth")
    assert torch.equal(read_state(tmp_path / "a.pth", 1 << 20)["a"], torch.arange(3.0))


def test_other_content_is_refused_without_being_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    for content in ([torch.zeros(1)], {"a": 1}, torch.zeros(2)):
        torch.save(content, path)
        with pytest.raises(MetastyleError, match="not a state dictionary"):
            read_state(path, 1 << 20)
    torch.save({"a": Evil()}, path)
    with pytest.raises(MetastyleError, match="not a readable file of torch tensors"):
        read_state(path, 1 << 20)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(MetastyleError, match="not a readable file"):
        read_state(path, 1 << 20)
    assert not (tmp_path / "it-ran").exists()
    torch.save({"a": torch.zeros(1000)}, path)
    with pytest.raises(MetastyleError, match="larger than"):
        read_state(path, 1000)
    with pytest.raises(MetastyleError, match="no such file"):
        read_state(tmp_path / "none.pth", 1000)
