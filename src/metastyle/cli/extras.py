"""Optional dependencies: the error for a missing one names the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metastyle.errors import MetastyleError

EXTRAS = {
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "train": ("lightning_fabric",),
    "plot": ("matplotlib",),
    "video": ("av", "cv2"),
    "bench": ("torchmetrics", "matplotlib", "markdown_it"),
    "studio": ("fastapi", "uvicorn", "onnx"),
    "scale": ("ray",),
}
"""The extras and the modules that they install."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Run a block that does ``what`` with modules of an extra.

    Raises:
        MetastyleError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRAS[extra]:
            raise
        raise MetastyleError(
            f"{what} needs {error.name}, which is not installed: pip install 'metastyle[{extra}]'"
        ) from None
