"""Every system repaints every picture in every painting's style; results are kept as PNG files.

Existing pictures are not painted again, so an interrupted comparison resumes, and everything that is measured
can be looked at. Changed weights are not detected: after more training, use another folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import torch
from torch import Tensor

from metastyle.bench.participants import Maker
from metastyle.errors import MetastyleError
from metastyle.files import read_json, write_bytes
from metastyle.images.convert import from_tensor, to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture, eight_bits, resize
from metastyle.images.sheet import Pixels, sheet
from metastyle.images.transparency import visible_painting
from metastyle.systems.system import Stylize, System


@dataclass(frozen=True)
class Painted:
    """One picture of one system: where it is, or why it is missing."""

    method: str
    name: str
    """The system's own; the method where it could not be made."""
    styles: str
    """``1`` or ``any``; empty where it could not be made."""
    painting: str
    photo: str
    path: Path
    error: str = ""
    prepare: float | None = None
    """Seconds that the painting cost this system, including those of an earlier training; None if unknown."""
    fresh: bool = False
    """Whether it was painted by this call: what was measured of an earlier picture no longer holds."""


def repaint(
    methods: Mapping[str, Maker],
    paintings: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    folder: Path,
    device: torch.device,
) -> Iterator[Painted]:
    """Paint what is missing, and yield everything, method by method and painting by painting.

    Paintings and photographs (1, 3, H, W) in [0, 1], by name. Pictures are in
    ``folder``/pictures/METHOD/PAINTING/PHOTO.png. A failure at one painting does not stop the
    others.

    Raises:
        MetastyleError: ``folder`` holds pictures of other photographs or paintings of these names.
    """
    check_same(folder / "pictures" / "made.json", paintings, photos)
    for method, make in methods.items():
        about = folder / "pictures" / file_name(method) / "system.json"
        name, styles = method, ""
        if about.exists():
            name, styles = read_json(about, list)
        system: System | None = None
        for painting, style in paintings.items():
            stylize: Stylize | None = None
            error = ""
            for photo, pixels in photos.items():
                path = picture_path(folder, method, painting, photo)
                existed = path.exists()
                if not existed and not error:
                    try:
                        if system is None:
                            system = make(device)
                            name, styles = system.name, system.styles
                            about.parent.mkdir(parents=True, exist_ok=True)
                            write_bytes(about, json.dumps([name, styles]).encode(), overwrite=True)
                        stylize = stylize or _prepared(system, style.to(device), path.parent)
                        picture = apply(stylize, pixels.to(device)).cpu()
                        save_picture(Picture(pixels=from_tensor(picture)), path, overwrite=True)
                    except Exception as failure:  # whatever a system does, the others are compared
                        error = sentence(failure)
                exists, seconds = path.exists(), _seconds_of(path.parent)
                error_here, fresh = "" if exists else error, exists and not existed
                yield Painted(method, name, styles, painting, photo, path, error_here, seconds, fresh)


def _prepared(system: System, style: Tensor, folder: Path) -> Stylize:
    """Prepare a style, and record in ``folder`` how long that took."""
    started = time.perf_counter()
    stylize = system.prepare(style)
    wait(style.device)
    seconds = time.perf_counter() - started + getattr(system, "earlier", 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "prepared.json", json.dumps(seconds).encode(), overwrite=True)
    return stylize


def _seconds_of(folder: Path) -> float | None:
    path = folder / "prepared.json"
    return float(read_json(path, (int, float))) if path.exists() else None


def wait(device: torch.device) -> None:
    """Wait until a device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@torch.no_grad()
def apply(stylize: Stylize, photo: Tensor) -> Tensor:
    """One picture, in [0, 1].

    Raises:
        MetastyleError: its shape is not the photograph's.
    """
    picture = stylize(photo)
    if picture.shape != photo.shape:
        raise MetastyleError(f"made a picture of shape {tuple(picture.shape)} of one of {tuple(photo.shape)}")
    return picture.clamp(0, 1)


def sentence(error: Exception) -> str:
    """An error as one line of a table, with files' names instead of their paths."""
    return re.sub(r"/(?:[^\s/:]+/)+", "", " ".join(str(error).split())) or type(error).__name__


def picture_path(folder: Path, method: str, painting: str, photo: str) -> Path:
    """The path of a system's picture."""
    return folder / "pictures" / file_name(method) / painting / f"{photo}.png"


def unique_names(named: Mapping[str, str]) -> dict[str, str]:
    """By method, the system's name, or the method itself if several systems have the same name."""
    names = list(named.values())
    return {method: name if names.count(name) == 1 else method for method, name in named.items()}


def grid(painted: Sequence[Painted], photos: Mapping[str, Tensor], paintings: Mapping[str, Tensor]) -> Pixels:
    """The paper's Figure 1: a row for each (photograph, painting), a column for each system; (H, W, 3) uint8.

    Row i shows photograph i in the style of painting i; the shorter list is repeated. What could not be
    painted stays empty.
    """
    names = unique_names({one.method: one.name for one in painted if not one.error})
    paths = {(one.method, one.painting, one.photo): one.path for one in painted if not one.error}
    rows: list[list[Pixels | None]] = []
    for photo, painting in pairs(photos, paintings):
        row: list[Pixels | None] = [_pixels(photos[photo]), _pixels(paintings[painting])]
        for method in names:
            path = paths.get((method, painting, photo))
            row.append(None if path is None else eight_bits(open_picture(path).pixels))
        rows.append(row)
    labels = [["photograph", "style", *names.values()], *([] for _ in rows[1:])]
    return sheet(rows, labels, cell=256)


def pairs(photos: Mapping[str, Tensor], paintings: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """The grid's rows."""
    rows = range(max(len(photos), len(paintings)))
    return [(list(photos)[i % len(photos)], list(paintings)[i % len(paintings)]) for i in rows]


def check_same(path: Path, paintings: Mapping[str, Tensor], photos: Mapping[str, Tensor]) -> None:
    """Check that a folder's results are of these pictures, whose digests are recorded in ``path``, JSON.

    Raises:
        MetastyleError: a picture of the same name has another digest there.
    """
    made = read_json(path, dict) if path.exists() else {}
    for kind, some in (("painting", paintings), ("photograph", photos)):
        for name, picture in some.items():
            digest = hashlib.sha256(eight_bits(from_tensor(picture)).tobytes()).hexdigest()
            digest = f"{picture.shape[3]}x{picture.shape[2]} {digest[:32]}"
            then = made.setdefault(kind, {}).setdefault(name, digest)
            if then != digest:
                sizes = f"{then.split()[0]}, this one is {digest.split()[0]}"
                raise MetastyleError(
                    f"{path.parent}: holds results of another {kind} '{name}' ({sizes}): use another -o"
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(made, indent=1).encode(), overwrite=True)


def whole(path: Path, long_edge: int) -> Tensor:
    """A photograph or painting (1, 3, H, W) in [0, 1], its longer edge brought to ``long_edge`` pixels.

    Hidden pixels continue the visible ones.
    """
    return to_tensor(resize(visible_painting(open_picture(path)), long_edge).pixels)


def square(picture: Picture, size: int) -> Tensor:
    """The middle square of a photograph (1, 3, size, size) in [0, 1]; hidden pixels continue visible ones."""
    picture = visible_painting(picture)
    height, width = picture.pixels.shape[:2]
    reduced = to_tensor(resize(picture, -(-size * max(height, width) // min(height, width))).pixels)
    top, left = (reduced.shape[2] - size) // 2, (reduced.shape[3] - size) // 2
    return reduced[:, :, top : top + size, left : left + size]


def _pixels(x: Tensor) -> Pixels:
    return eight_bits(from_tensor(x))


def file_name(method: str) -> str:
    """The name of a method's folder or file; no two methods have the same."""
    return quote(method, safe="= ")
