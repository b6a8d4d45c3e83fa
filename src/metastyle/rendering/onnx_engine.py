"""An exported network run by onnxruntime, behind the same ``render`` as ``Stylizer``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metastyle.errors import MetastyleError
from metastyle.rendering.stylizer import check_pixels


class OnnxStylizer:
    """Stylizes pictures with a file that ``export_onnx`` wrote, whole and on the processor.

    threads: 0 lets onnxruntime choose. Memory is not bounded: about 0.7 kB for each pixel.
    """

    def __init__(self, path: str | Path, *, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MetastyleError('onnxruntime is missing: pip install "metastyle[export]"') from None
        if not Path(path).is_file():
            raise MetastyleError(f"{path} is not there: write it with export_onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base
            raise MetastyleError(
                f"{path} cannot be run by onnxruntime: {str(error).splitlines()[0]}"
            ) from error
        names = ([i.name for i in self._session.get_inputs()], [o.name for o in self._session.get_outputs()])
        if names not in ((["content"], ["stylized"]), (["content"], ["stylised"])):  # the latter until 0.1.0
            raise MetastyleError(f"{path} was not written by export_onnx: its inputs and outputs are {names}")

    def render(self, pixels: np.ndarray) -> np.ndarray:
        """Stylize (H, W, 3) uint8 or uint16; same shape and type."""
        check_pixels(pixels)
        scale = np.float32(np.iinfo(pixels.dtype).max)
        content = (pixels.astype(np.float32) / scale).transpose(2, 0, 1)[None]
        y: np.ndarray = self._session.run(None, {"content": np.ascontiguousarray(content)})[0]
        result: np.ndarray = (y[0].transpose(1, 2, 0) * scale + np.float32(0.5)).astype(pixels.dtype)
        return result
