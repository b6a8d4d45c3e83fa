"""MetaStyle: Zhang, Zhu, Zhu, "MetaStyle: Three-Way Trade-Off Among Speed, Flexibility, and Quality in Neural
Style Transfer" (AAAI 2019, arXiv 1812.05233), as implemented by this project.

Nothing is reimplemented: ``metastyle.adapt`` prepares a style, and its network repaints.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metastyle import api
from metastyle.core.checks import check_value
from metastyle.core.settings import AdaptationSettings, Strength
from metastyle.images.contents import MOST_PHOTOS, Contents
from metastyle.images.picture_like import read_photos
from metastyle.systems.counts import Count, transformation_network
from metastyle.systems.repainting import repainting
from metastyle.systems.system import Stylize


class MetaStyle:
    """``steps`` steps with the CPU's defaults on any device; ``changes`` are arguments of ``adapt``.

    ``strength`` is that of ``metastyle stylize``: below 1 a mixture with the photograph, above it a style
    that goes further than adaptation did. ``photos`` is a folder of the photographs that will be repainted,
    to adapt on them as ``metastyle stylize`` does; ``contents`` are others, and without both, contents are
    procedural.
    """

    styles = "any"

    def __init__(
        self,
        device: torch.device,
        steps: int = AdaptationSettings.steps,
        strength: float = 1.0,
        photos: str | None = None,
        **changes: Any,
    ) -> None:
        self.device, self.strength = device, check_value("strength", strength, Strength)
        self.changes: dict[str, Any] = {"steps": steps} | changes
        if photos is not None:
            self.changes["contents"] = Contents(lambda: read_photos(photos, MOST_PHOTOS))
        self.name = f"MetaStyle, {steps} steps"
        if "contents" in changes and photos is None:
            self.name += ", other photographs"
        if strength != 1:
            self.name += f", strength {strength:g}"
        self.parameters = transformation_network()

    def prepare(self, style: Tensor) -> Stylize:
        """Adapt to the painting at its own size, unless ``style_size`` was given."""
        changes: dict[str, Any] = {"style_size": max(style.shape[2:])} | self.changes
        adapted = api.adapt(style, settings=AdaptationSettings(), device=str(self.device), **changes)
        paint = repainting(adapted.network(max(1.0, self.strength)), self.device, adapted.grain)
        if self.strength >= 1:
            return paint
        return lambda photo: photo.lerp(paint(photo), self.strength)


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    network = transformation_network()
    return Count("MetaStyle", "1.68M", network, network, "one network, adapted to each style")
