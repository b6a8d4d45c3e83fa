"""Writes studio/test/cases.json: results of Python for the unit tests of the page's arithmetic.

python scripts/make_studio_cases.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metastyle.core.adaptation import rate_factor
from metastyle.core.grain import PAINTED, add_grain, fractal_noise
from metastyle.core.settings import AdaptationSettings
from metastyle.images.color import keep_color
from metastyle.images.contents import OWN_ZOOM
from metastyle.rendering.stylizer import SMALLEST_SIDE
from metastyle.weights.tensor_files import encode

TARGET = Path(__file__).parents[1] / "studio" / "test" / "cases.json"


def style_file() -> dict[str, Any]:
    """A small style in float16 with a name that JSON has to escape, and the checksum of its file."""
    parameters = [0.5, -1, 2, 0.3, 0, -0.125]
    tensor = torch.tensor(parameters).half()
    about = {"base": "0" * 64, "painting": 'Nuit "étoilée" \U0001f319\x7f', "painting_sha256": "1" * 64}
    metadata = about | {"format": "metastyle-style", "format_version": "1", "kind": "all"}
    metadata |= {"settings": '{"grain":1}', "curve": "[[1,3,1,2]]"}
    content = encode({"out.weight": tensor[:3].view(3, 1, 1, 1), "out.bias": tensor[3:]}, metadata)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    checksum = header["__metadata__"]["checksum"]
    return about | {"parameters": tensor.tolist(), "checksum": checksum}


def cases() -> dict[str, Any]:
    """Inputs and results, rounded to six digits."""
    noise = fractal_noise(0, 0, 70, 90, 0)
    other = fractal_noise(0, 0, 70, 90, 17)
    places = [(0, 0, 0), (1, 3, 5), (2, 69, 89), (0, 31, 64), (1, 64, 31), (2, 17, 40)]
    height, width = 20, 24
    ramp = torch.linspace(0, 1, width).expand(height, width)
    flat = torch.full((height, width), 0.5)
    flat[4:9, 5:14] = 0.9
    picture = torch.stack([ramp, flat, ramp.flip(1)])[None]
    grained = add_grain(picture, 0.7)
    settings = AdaptationSettings(steps=12)
    rates = [settings.learning_rate * rate_factor(step, settings) for step in range(1, 13)]
    numbers = np.array([0, 1, -1 / 3, 65504, 65519, 6.2e-5, 6.0e-5, -5.96e-8, 2.98e-8, 1e-9], np.float32)
    rng = np.random.default_rng(0)
    photo, painted = (rng.integers(0, 256, (4, 6, 3), dtype=np.uint8) for _ in range(2))
    return {
        "noise": [[*place, round(float(noise[place]), 6)] for place in places],
        "other_noise": [[*place, round(float(other[place]), 6)] for place in places],
        "rates": [round(rate, 9) for rate in rates],
        "halves": {"numbers": numbers.tolist(), "bits": numbers.astype(np.float16).view(np.uint16).tolist()},
        "grain": {
            "height": height,
            "width": width,
            "amount": 0.7,
            "picture": [round(float(v), 6) for v in picture.flatten()],
            "grained": [round(float(v), 6) for v in grained.flatten()],
        },
        "constants": {"usual": PAINTED * settings.grain, "smallest": SMALLEST_SIDE, "zoom": OWN_ZOOM},
        "file": style_file(),
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
