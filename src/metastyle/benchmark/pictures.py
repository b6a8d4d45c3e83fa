"""Every system repaints every picture in every painting's style; results are kept as PNG files.

What is there is not painted again, so that an interrupted comparison goes on where it stopped, and what is
measured is what can be looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metastyle.benchmark.systems import Maker
from metastyle.errors import MetastyleError
from metastyle.media.images import Picture, eight_bits, from_tensor, open_picture, save_picture
from metastyle.media.sheet import Pixels, sheet
from metastyle.weights.tensor_files import write_bytes


@dataclass(frozen=True)
class Painted:
    """One picture of one system: where it lies, or why it is not there."""

    method: str
    name: str
    """The system's own; the method where it could not be made."""
    painting: str
    photo: str
    path: Path
    error: str = ""


def same_pictures(folder: Path, **facts: object) -> None:
    """Note what the pictures of ``folder`` are made from (sizes); other pictures may not join them.

    Raises:
        MetastyleError: it holds pictures made otherwise.
    """
    path = folder / "pictures" / "made.json"
    if path.exists():
        then = json.loads(path.read_text(encoding="utf-8"))
        for name, value in facts.items():
            if then.get(name) != value:
                raise MetastyleError(
                    f"{folder}: holds pictures with {name} {then.get(name)}, not {value}: use another -o"
                )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(facts).encode(), overwrite=True)


def repaint(
    methods: Mapping[str, Maker],
    paintings: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    folder: Path,
    device: torch.device,
) -> Iterator[Painted]:
    """Paint what is missing, and yield everything, method by method and painting by painting.

    Paintings and photographs (1, 3, H, W) in [0, 1], by name. Pictures lie in
    ``folder``/pictures/METHOD/PAINTING/PHOTO.png. A system that fails at a painting fails there alone.
    """
    for method, make in methods.items():
        about = folder / "pictures" / _file_name(method) / "system.json"
        name = json.loads(about.read_text(encoding="utf-8"))["name"] if about.exists() else method
        system = None
        for painting, style in paintings.items():
            stylise, error = None, ""
            for photo, pixels in photos.items():
                path = picture_path(folder, method, painting, photo)
                if not path.exists() and not error:
                    try:
                        if system is None:
                            system = make(device)
                            name = system.name
                            about.parent.mkdir(parents=True, exist_ok=True)
                            write_bytes(about, json.dumps({"name": name}).encode(), overwrite=True)
                        stylise = stylise or system.prepare(style.to(device))
                        with torch.no_grad():
                            picture = stylise(pixels.to(device)).cpu().clamp(0, 1)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        save_picture(Picture(pixels=from_tensor(picture)), path, overwrite=True)
                    except (MetastyleError, RuntimeError, MemoryError) as failure:
                        error = " ".join(str(failure).split()) or type(failure).__name__
                yield Painted(method, name, painting, photo, path, "" if path.exists() else error)


def picture_path(folder: Path, method: str, painting: str, photo: str) -> Path:
    """Where a system's picture lies."""
    return folder / "pictures" / _file_name(method) / painting / f"{photo}.png"


def grid(painted: Sequence[Painted], photos: Mapping[str, Tensor], paintings: Mapping[str, Tensor]) -> Pixels:
    """The post's Figure 1: a row for each (photograph, painting), a column for each system; (H, W, 3) uint8.

    Row i shows photograph i in the style of painting i; the shorter list is gone through again. What could
    not be painted stays empty.
    """
    names = {one.method: one.name for one in painted if not one.error}
    paths = {(one.method, one.painting, one.photo): one.path for one in painted if not one.error}
    rows: list[list[Pixels | None]] = []
    for index in range(max(len(photos), len(paintings))):
        photo, painting = (list(some)[index % len(some)] for some in (photos, paintings))
        row: list[Pixels | None] = [_pixels(photos[photo]), _pixels(paintings[painting])]
        for method in names:
            path = paths.get((method, painting, photo))
            row.append(None if path is None else eight_bits(open_picture(path).pixels))
        rows.append(row)
    labels = [["photograph", "style", *names.values()], *([] for _ in rows[1:])]
    return sheet(rows, labels, cell=256)


def _pixels(x: Tensor) -> Pixels:
    return eight_bits(from_tensor(x))


def _file_name(method: str) -> str:
    return re.sub(r"[^\w=.-]+", "_", method)
