"""A network as an ONNX file, for other programs and for browsers."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.network import STRIDE, TransformationNetwork
from metastyle.core.surroundings import own_surroundings
from metastyle.errors import MetastyleError
from metastyle.files import check_target, write_bytes

OPSET = 20
"""Since onnxruntime 1.17 and onnxruntime-web 1.17."""


class AnySize(nn.Module):
    """The network for pictures of any size: reflected to a multiple of 4, and the result cropped."""

    def __init__(self, network: TransformationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, content: Tensor) -> Tensor:
        height, width = content.shape[2:]
        x = F.pad(content, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        result: Tensor = self.network(x)[:, :, :height, :width]
        return result


@own_surroundings()
def export_onnx(
    network: TransformationNetwork,
    path: str | Path,
    *,
    overwrite: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write ``network`` as one ONNX file (opset 20, float32), 6.7 MB.

    Its input ``content`` and output ``stylized`` are (batch, 3, height, width) in [0, 1], RGB; batch, height
    and width are free, 16 pixels a side at least. ``metadata``: additional metadata of the file.

    Raises MetastyleError if the extra ``export`` is not installed, for an existing file unless
    ``overwrite``, and for one that cannot be written.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite)  # before the export, not after it
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise MetastyleError('exporting needs more packages: pip install "metastyle[export]"') from None
    module = AnySize(copy.deepcopy(network).cpu().float().requires_grad_(False)).eval()
    free = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=16),
        3: torch.export.Dim("width", min=16),
    }
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            module,
            # A size that nothing can be specialized for.
            (torch.zeros(2, 3, 65, 98, dtype=torch.float32),),
            dynamo=True,
            dynamic_shapes={"content": free},
            input_names=["content"],
            output_names=["stylized"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name = "metastyle"
    entries = {"input": "RGB in [0, 1], (batch, 3, height, width)", "output": "the same", **(metadata or {})}
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(path, model.SerializeToString(), overwrite=overwrite)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from logging to stderr about missing packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
