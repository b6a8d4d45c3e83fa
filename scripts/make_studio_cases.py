"""Writes studio/test/cases.json: results of Python for the unit tests of the page's arithmetic.

python scripts/make_studio_cases.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metastyle.core.grain import add_grain, fractal_noise
from metastyle.images.color import keep_color

TARGET = Path(__file__).parents[1] / "studio" / "test" / "cases.json"


def cases() -> dict[str, Any]:
    """Inputs and results, rounded to six digits."""
    noise = fractal_noise(0, 0, 70, 90, 0)
    places = [(0, 0, 0), (1, 3, 5), (2, 69, 89), (0, 31, 64), (1, 64, 31), (2, 17, 40)]
    height, width = 20, 24
    ramp = torch.linspace(0, 1, width).expand(height, width)
    flat = torch.full((height, width), 0.5)
    flat[4:9, 5:14] = 0.9
    picture = torch.stack([ramp, flat, ramp.flip(1)])[None]
    grained = add_grain(picture, 0.7)
    rng = np.random.default_rng(0)
    photo, painted = (rng.integers(0, 256, (4, 6, 3), dtype=np.uint8) for _ in range(2))
    return {
        "noise": [[*place, round(float(noise[place]), 6)] for place in places],
        "grain": {
            "height": height,
            "width": width,
            "amount": 0.7,
            "picture": [round(float(v), 6) for v in picture.flatten()],
            "grained": [round(float(v), 6) for v in grained.flatten()],
        },
        "color": {
            "photo": photo.flatten().tolist(),
            "painted": painted.flatten().tolist(),
            "kept": keep_color(photo, painted).flatten().tolist(),
        },
    }


def text() -> str:
    """The file's content."""
    return json.dumps(cases()) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
    print(f"wrote {TARGET}")
