"""Sources of training pictures: folders, and tar shards for large data sets.

Shards are plain tar files of pictures, as written by webdataset's tools. Their index is read once;
after that, every picture is one seek away, so that folders and shards are sampled in the same way.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from metastyle.errors import MetastyleError
from metastyle.images.decode import PICTURE_SUFFIXES


@dataclass(frozen=True)
class Entry:
    """One picture, not yet read."""

    name: str
    """Name relative to the source, with forward slashes, used for splits and in errors."""
    path: Path
    """The file, or the shard that holds it."""
    offset: int = 0
    size: int | None = None
    """Size in bytes; None is the whole file."""

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.size is None else self.size)

    @property
    def rank(self) -> str:
        """Hash of the name, for a stable order that is unrelated to the alphabetical one."""
        return hashlib.sha256(self.name.encode()).hexdigest()


def find_pictures(where: str | Path) -> list[Entry]:
    """All pictures of a folder (its subfolders and tar shards included) or of one shard, sorted by name.

    Pictures are recognized by their file extensions; nothing is decoded. Hidden files are skipped.
    """
    root = Path(where)
    if root.is_file() and root.suffix == ".tar":
        entries = _shard(root, root.name)
    elif root.is_dir():
        entries = []
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if any(part.startswith(".") for part in name.split("/")):
                continue
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
                entries.append(Entry(name, path))
            elif path.suffix == ".tar" and path.is_file():
                entries += _shard(path, name)
    else:
        raise MetastyleError(f"{where}: no such folder or tar shard: use a folder of pictures")
    if not entries:
        raise MetastyleError(
            f"{where}: holds no pictures: use a folder or a tar shard of jpg, png or webp files"
        )
    return sorted(entries, key=lambda entry: entry.name)


def _shard(path: Path, name: str) -> list[Entry]:
    try:
        with tarfile.open(path, "r:") as shard:
            return [
                Entry(f"{name}/{member.name}", path, member.offset_data, member.size)
                for member in shard
                if member.isreg() and Path(member.name).suffix.lower() in PICTURE_SUFFIXES
            ]
    except (tarfile.TarError, OSError) as error:
        raise MetastyleError(
            f"{path}: not a readable tar shard ({error}): use an uncompressed tar file"
        ) from None
