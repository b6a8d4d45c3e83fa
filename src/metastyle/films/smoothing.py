"""Smooths the remaining flicker along the motion: each result is mixed with the previous one, warped.

Motion is dense optical flow between the film's own frames (DIS: Kroeger et al., "Fast Optical Flow using
Dense Inverse Search", ECCV 2016). Where forward and backward flow do not lead back to the same position,
something was covered or uncovered (Sundaram, Brox, Keutzer, "Dense Point Trajectories by GPU-accelerated
Large Displacement Optical Flow", ECCV 2010, equation 5). Where the warped frame does not look like the new
one, the flow is wrong or the light has changed. In both cases, the new result is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from metastyle.core.checks import check_value
from metastyle.core.settings import Smoothing
from metastyle.errors import MetastyleError

Pixels = NDArray[Any]
Flow = NDArray[np.float32]

SMOOTHING = 0.5
"""Default share of the previous result in the new one."""

TOLERANCE = 20.0
"""Difference in 8-bit levels between the warped frame and the new one at which trust falls to 1/e."""


def warp(values: NDArray[Any], flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """``values`` warped along ``flow``: the result at p is ``values`` at p + flow(p), bilinear.

    values: (H, W, C). flow: (H, W, 2) in pixels, to the right and down.
    Returns float32 (H, W, C), and where p + flow(p) is inside the picture, bool (H, W); outside, the
    nearest border pixel is taken.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = np.stack([2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1], axis=-1)
    planes = torch.from_numpy(np.ascontiguousarray(values, np.float32)).permute(2, 0, 1)[None]
    seen = F.grid_sample(planes, torch.from_numpy(grid)[None], padding_mode="border", align_corners=True)
    return seen[0].permute(1, 2, 0).numpy(), inside


def consistent(there: Flow, back: Flow) -> NDArray[np.bool_]:
    """Where following ``there`` and then ``back`` returns to the start: visible in both frames, (H, W)."""
    returning, inside = warp(back, there)
    squares = np.square(there).sum(-1) + np.square(returning).sum(-1)
    error = np.square(there + returning).sum(-1)
    result: NDArray[np.bool_] = inside & (error < 0.01 * squares + 0.5)
    return result


class Motion(NamedTuple):
    """How a frame's pixels have moved since the frame before."""

    there: Flow
    """From each pixel of the frame to its position in the frame before."""
    certain: NDArray[np.bool_]
    """Where the backward flow agrees, (H, W)."""

    def shift(self) -> tuple[float, float]:
        """The motion of the camera in pixels (down, right): the median over the picture."""
        shifts = self.there[self.certain] if self.certain.any() else self.there.reshape(-1, 2)
        right, down = np.median(shifts, axis=0)
        return float(down), float(right)


class Smoother:
    """Mixes results with earlier ones along the motion of their frames.

    share: of the earlier result in the new one, where it can be trusted; 0 to below 1.

    Raises MetastyleError for a share out of range, or if the extra ``video`` is not installed.
    """

    def __init__(self, share: float = SMOOTHING) -> None:
        check_value("smoothing", share, Smoothing)
        try:
            import cv2
        except ImportError:
            raise MetastyleError(
                'smoothing needs OpenCV: pip install "metastyle[video]", or use a smoothing of 0'
            ) from None
        self._cv2: Any = cv2
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._share = share

    def motion(self, frame: Pixels, earlier_frame: Pixels) -> Motion:
        """The motion from ``earlier_frame`` to ``frame``, both (H, W, 3) uint8 and of one size."""
        a, b = (self._cv2.cvtColor(f, self._cv2.COLOR_RGB2GRAY) for f in (frame, earlier_frame))
        there, back = self._flow.calc(a, b, None), self._flow.calc(b, a, None)
        return Motion(there, consistent(there, back))

    def smooth(
        self,
        frame: Pixels,
        result: Pixels,
        earlier_frame: Pixels,
        earlier_result: Pixels,
        motion: Motion | None = None,
    ) -> Pixels:
        """The result for ``frame``, mixed with the one before; all (H, W, 3) uint8 and of one size.

        motion: the result of ``motion`` for the two frames, if known already.
        """
        there, certain = motion or self.motion(frame, earlier_frame)
        moved, _ = warp(np.concatenate([earlier_frame, earlier_result], axis=2), there)
        difference = np.abs(moved[..., :3] - frame).mean(-1)
        trust = self._share * np.exp(-difference / TOLERANCE) * certain
        mixed = result + trust[..., None] * (moved[..., 3:] - result)
        smoothed: Pixels = (mixed + 0.5).astype(np.uint8)
        return smoothed
