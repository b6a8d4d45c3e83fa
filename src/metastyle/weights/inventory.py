"""All weight files and their state on this machine, for ``metastyle weights``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metastyle.errors import MetastyleError
from metastyle.weights.initialization import INITIALIZATION, SHIPPED, load_initialization
from metastyle.weights.lpips import LPIPS, load_lpips
from metastyle.weights.vgg16 import VGG16, load_loss_network
from metastyle.weights.vgg19 import ADAIN_DECODER, VGG19, load_published
from metastyle.weights.weight_file import Progress, WeightFile

State = Literal["shipped", "cached", "missing", "damaged"]

FILES = (VGG16, INITIALIZATION, VGG19, ADAIN_DECODER, LPIPS)


@dataclass(frozen=True)
class WeightFileState:
    """The verified state of a weight file on this machine."""

    file: WeightFile
    state: State
    path: Path
    """Where the file is, or would be."""
    bytes: int
    """Its size on disk in bytes; 0 if it is missing."""
    problem: str = ""
    """What is wrong with it, if it is damaged."""


def weight_files(cache_dir: Path | None = None) -> list[WeightFileState]:
    """The state of every weight file; reads up to 130 MB and needs no network."""
    return [verify(file.name, cache_dir=cache_dir) for file in FILES]


def verify(name: str, *, cache_dir: Path | None = None) -> WeightFileState:
    """Read one weight file completely and compare it with its checksum.

    Raises:
        MetastyleError: there is no weight file of this name.
    """
    file = _file(name)
    path = _path(file, cache_dir)
    if not path.exists():
        return WeightFileState(file, "missing", path, 0)
    try:
        if file is INITIALIZATION:
            load_initialization(path)
        else:
            file.read(path)
    except MetastyleError as error:
        return WeightFileState(file, "damaged", path, path.stat().st_size, str(error))
    return WeightFileState(file, "shipped" if file is INITIALIZATION else "cached", path, path.stat().st_size)


def fetch(name: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> WeightFileState:
    """Make sure that a weight file is on this machine and complete; a damaged one is replaced.

    Raises:
        MetastyleError: the name is unknown, no source has the file, or it cannot be written.
    """
    file = _file(name)
    if file is VGG16:
        load_loss_network(cache_dir=cache_dir, progress=progress)
    elif file is INITIALIZATION:
        load_initialization()  # part of the package: only checked
    elif file is LPIPS:
        load_lpips(cache_dir=cache_dir, progress=progress)
    else:
        load_published(file, cache_dir=cache_dir, progress=progress)
    found = verify(name, cache_dir=cache_dir)
    if found.state in ("missing", "damaged"):
        raise MetastyleError(
            f"{found.path}: downloaded, but cannot be kept: free disk space there, or make it writable"
        )
    return found


def _file(name: str) -> WeightFile:
    for file in FILES:
        if file.name == name:
            return file
    raise MetastyleError(f"no weight file is called '{name}': use one of {', '.join(f.name for f in FILES)}")


def _path(file: WeightFile, cache_dir: Path | None) -> Path:
    return SHIPPED if file is INITIALIZATION else file.cached_path(cache_dir)
