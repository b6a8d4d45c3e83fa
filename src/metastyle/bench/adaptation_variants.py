"""The variants that ``adaptation`` compares: a start, a kind of contents, and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from metastyle.core.grain import PAINTED
from metastyle.core.initialization import Initialization
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError
from metastyle.files import read_json, write_bytes
from metastyle.images.contents import spread
from metastyle.weights.initialization import load_initialization

OLD_CONTENTS = {"synthetic": "procedural"}
"""Earlier names of kinds of contents, in variants and in files of results."""


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    name: str
    model: str = "shipped"
    """``shipped``, ``random``, or the path of an initialization file."""
    contents: Literal["procedural", "photos", "self"] = "procedural"
    """Procedural pictures, other photographs alone, or the very photographs that are measured, with the share
    of procedural pictures among them that ``metastyle stylize`` takes."""
    settings: AdaptationSettings = field(default_factory=AdaptationSettings)

    def start(self) -> tuple[Initialization, str]:
        """theta and Psi, and what identifies them: ``random`` or a hash."""
        if self.model == "random":
            torch.manual_seed(self.settings.seed)
            return Initialization(), "random"
        return load_initialization(None if self.model == "shipped" else Path(self.model))


def check_variant(
    path: Path, variant: Variant, photos: Sequence[Path], training_photos: Sequence[Path]
) -> None:
    """Check that the cells of a name are of one variant.

    Its weights, contents, settings and painted grain are in ``path``.

    Args:
        path: a JSON file, which gets them if it lacks the variant.
        variant: what is about to be measured.
        photos: the photographs that it is measured on.
        training_photos: others, which it may adapt on.

    Raises:
        MetastyleError: ``path`` has another variant of this name.
    """
    made = read_json(path, dict) if path.exists() else {}
    adapted_on = {"procedural": [], "self": photos, "photos": spread(training_photos, variant.settings.pool)}
    names = [photo.name for photo in adapted_on[variant.contents]]
    facts: dict[str, Any] = {
        "weights": variant.start()[1],
        "contents": variant.contents,
        "photographs": f"{len(names)}, {hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:16]}",
        "settings": asdict(variant.settings),
        "painted_grain": PAINTED * variant.settings.grain,
    }
    then = made.setdefault("variant", {}).setdefault(variant.name, facts)
    if then.get("contents") in OLD_CONTENTS:
        then["contents"] = OLD_CONTENTS[then["contents"]]
    if then != facts:
        differing = next(k for k in facts if then.get(k) != facts[k])
        raise MetastyleError(
            f"{path.parent}: '{variant.name}' was measured there with other {differing}: "
            "use another -o, or another name"
        )
    write_bytes(path, json.dumps(made, indent=1).encode(), overwrite=True)
