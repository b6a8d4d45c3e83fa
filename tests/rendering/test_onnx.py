"""The exported model matches the network at any size, and no file is overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.rendering.onnx import OPSET, export_onnx
from metastyle.rendering.stylizer import Stylizer

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(network: TransformationNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "style.onnx"
    export_onnx(network, path, metadata={"style": "a painting"})
    assert [p.name for p in path.parent.iterdir()] == ["style.onnx"]
    return path


def test_onnxruntime_gives_the_same_results_for_any_size_and_batch(
    exported: Path, network: TransformationNetwork
) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    stylizer = Stylizer(network, device="cpu")
    for batch, height, width in ((1, 64, 48), (2, 17, 83), (1, 16, 16), (3, 38, 21)):
        x = torch.rand(batch, 3, height, width)
        (y,) = session.run(None, {"content": x.numpy()})
        assert y.shape == x.shape
        np.testing.assert_allclose(y, stylizer.render_tensor(x).numpy(), atol=1e-4)


def test_the_file_has_metadata(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    assert model.producer_name == "metastyle"
    assert {entry.key: entry.value for entry in model.metadata_props}["style"] == "a painting"
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [OPSET]


def test_an_existing_file_is_not_overwritten(exported: Path, network: TransformationNetwork) -> None:
    before = exported.read_bytes()
    with pytest.raises(MetastyleError, match="already exists"):
        export_onnx(network, exported)
    assert exported.read_bytes() == before
