"""What ``adaptation`` measures, as files: the losses, and the pictures that they are of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from metastyle.bench.pictures import file_name
from metastyle.core.losses import Loss
from metastyle.errors import MetastyleError
from metastyle.files import write_bytes
from metastyle.images.convert import from_tensor
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture

Key = tuple[str, str, str, int | None]


@dataclass(frozen=True)
class Cell:
    """The loss of one photograph in the style of one painting."""

    variant: str
    painting: str
    photo: str
    steps: int | None
    """None for a reference, which takes no steps of this kind."""
    total: float
    content: float
    style: float
    seconds: float
    """Of the adaptation alone; for a reference, of preparing the style."""

    @property
    def key(self) -> Key:
        return (self.variant, self.painting, self.photo, self.steps)


class Results:
    """Cells of a folder, those of other processes included, and this process's file of them.

    Pictures lie beside them: pictures/PAINTING/PHOTO/, one JPEG file for each variant and number of steps.
    """

    def __init__(self, folder: Path, part: str = "") -> None:
        self.folder, self.path = folder, folder / (f"results-{part}.json" if part else "results.json")
        self.done = {cell.key: cell for cell in read(folder)}
        self._own = {cell.key: cell for cell in (read_file(self.path) if part else self.done.values())}

    @property
    def cells(self) -> list[Cell]:
        return list(self.done.values())

    def have(self, keys: Iterable[Key]) -> bool:
        return all(key in self.done for key in keys)

    def add(
        self,
        name: str,
        painting: str,
        steps: int | None,
        found: Iterable[tuple[str, Tensor, Loss]],
        seconds: float,
    ) -> list[Cell]:
        """Keep what ``evaluate`` found; pictures are written before the cells that stand for them."""
        cells = []
        for photo, picture, loss in found:
            path = picture_path(self.folder, name, painting, photo, steps)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_picture(Picture(pixels=from_tensor(picture)), path, overwrite=True, quality=92)
            total, content, style = (float(f"{x.item():.6g}") for x in loss)
            cells.append(Cell(name, painting, photo, steps, total, content, style, round(seconds, 2)))
        self.done |= {cell.key: cell for cell in cells}
        self._own |= {cell.key: cell for cell in cells}
        write(self.path, list(self._own.values()))
        return cells


def picture_path(folder: Path, name: str, painting: str, photo: str, steps: int | None) -> Path:
    """Where the picture of a cell lies."""
    taken = "" if steps is None else f", {steps} steps"
    return folder / "pictures" / painting / photo / f"{file_name(name)}{taken}.jpg"


def read(folder: Path) -> list[Cell]:
    """The cells of a folder, whichever process measured them."""
    files = [folder / "results.json", *sorted(folder.glob("results-*.json"))]
    return list({cell.key: cell for file in files for cell in read_file(file)}.values())


def read_file(path: Path) -> list[Cell]:
    """Cells of one file, none where it does not exist.

    Raises:
        MetastyleError: they are of a version that measured otherwise.
    """
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    try:
        return [Cell(**row) for row in rows]
    except TypeError:
        raise MetastyleError(f"{path}: results of another version of metastyle: use another folder") from None


def write(path: Path, cells: Sequence[Cell]) -> None:
    """Whole or not at all, a cell a line: an interrupted measurement is taken up from this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(cell), ensure_ascii=False) for cell in cells)
    write_bytes(path, f"[\n{lines}\n]\n".encode(), overwrite=True)
