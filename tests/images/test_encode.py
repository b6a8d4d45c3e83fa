from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.files import reason
from metastyle.images.picture import Picture, open_picture, save_picture

RNG = np.random.default_rng(3)
PICTURE = Picture(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8))
OTHER = Picture(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def refused(picture: Picture, path: Path, **options: Any) -> str:
    with pytest.raises(MetastyleError) as caught:
        save_picture(picture, path, **options)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 500
    return message


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    save_picture(PICTURE, path)
    before = path.read_bytes()
    assert "already exists" in refused(OTHER, path)
    assert path.read_bytes() == before
    save_picture(OTHER, path, overwrite=True)
    assert (open_picture(path).pixels == OTHER.pixels).all()
    assert names(tmp_path) == ["p.png"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.png"
    save = Image.Image.save

    def slow(image: Image.Image, *args: Any, **options: Any) -> None:
        save(image, *args, **options)
        path.write_text("theirs")

    monkeypatch.setattr(Image.Image, "save", slow)
    assert "already exists" in refused(PICTURE, path)
    assert path.read_text() == "theirs" and names(tmp_path) == ["p.png"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    save_picture(PICTURE, real)
    link.symlink_to(real)
    assert "already exists" in refused(OTHER, link)
    save_picture(OTHER, link, overwrite=True)
    assert link.is_symlink() and (open_picture(real).pixels == OTHER.pixels).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif", ".bmp"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_things_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, existing: bool
) -> None:
    path = tmp_path / f"p{suffix}"
    if existing:
        save_picture(PICTURE, path)
    before = path.read_bytes() if existing else None
    real_open = Path.open

    class Full:
        """A file on a disk that has room for 300 bytes more."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.room = stream, 300

        def __getattr__(self, name: str) -> Any:
            if name == "fileno":  # some encoders would write past this object
                raise AttributeError(name)
            return getattr(self.stream, name)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> int:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self.stream.write(data))

    monkeypatch.setattr(
        Path,
        "open",
        lambda p, mode="r", *a, **k: Full(real_open(p, mode)) if "x" in mode else real_open(p, mode, *a, **k),
    )
    message = refused(OTHER, path, overwrite=existing)
    assert message == f"{path} cannot be written: the disk is full"
    monkeypatch.undo()
    assert names(tmp_path) == ([path.name] if existing else [])
    assert not existing or path.read_bytes() == before


def test_a_real_full_disk(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as caught, full.open("wb", buffering=0) as stream:
        stream.write(b"x")
    assert reason(caught.value) == "the disk is full"


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Image.Image, stream: Any, **__: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_picture(PICTURE, tmp_path / "p.png")
    assert not names(tmp_path)


def test_an_encoder_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ValueError("too\nmuch"), OSError("encoder error -2"), MemoryError()):

        def broken(_: Image.Image, stream: Any, error: Exception = error, **__: Any) -> None:
            stream.write(b"half")
            raise error

        monkeypatch.setattr(Image.Image, "save", broken)
        assert "could not be encoded as PNG" in refused(PICTURE, tmp_path / "p.png")
        assert not names(tmp_path)


def test_a_folder_that_does_not_permit_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere: let the system call refuse instead

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert refused(PICTURE, folder / "p.png") == f"{folder / 'p.png'} cannot be written: Permission denied"
    assert not names(folder)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("p.heic", {}, "pictures cannot be written as '.heic'; use one of .jpg, .jpeg, .png, .webp"),
        ("p", {}, "a name without extension"),
        ("none/p.png", {}, "there is no folder"),
        ("folder.png", {}, "is a folder"),
        ("file/p.png", {}, "there is no folder"),
        ("p.png", {"quality": 90}, "a quality applies to .jpg, .webp and .avif"),
        ("p.jpg", {"quality": 0}, "quality 0 is out of range"),
        ("p.webp", {"quality": 101}, "quality 101 is out of range"),
        ("x" * 300 + ".png", {}, "File name too long"),
        ("a\0b.png", {}, "null byte"),
        ("two\nlines.heic", {}, "cannot be written as"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    assert message in refused(PICTURE, tmp_path / name, **options)
    assert names(tmp_path) == ["file", "folder.png"]


def test_longest_sides(tmp_path: Path) -> None:
    long = Picture(np.zeros((16, 16384, 3), np.uint8))
    assert "WEBP holds at most 16383 pixels a side" in refused(long, tmp_path / "p.webp")
    save_picture(long, tmp_path / "p.jpg")
    assert open_picture(tmp_path / "p.jpg").size == (16384, 16)


def test_a_long_name_that_the_system_permits_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    save_picture(PICTURE, path)
    assert open_picture(path).size == PICTURE.size
