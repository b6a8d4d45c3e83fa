"""``metastyle styles``."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metastyle.cli.inputs import WRITABLE, check_is_file, check_output
from metastyle.cli.options import FLAG, Common
from metastyle.cli.output import Display, Outcome
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.picture import Picture
    from metastyle.weights.builtin_styles import Artwork

GALLERY_SIZE = 480
"""Long edge of each picture of a gallery."""
_COLUMNS = 4


def styles(
    *,
    gallery: Annotated[Path | None, Parameter(metavar="PATH")] = None,
    photo: Annotated[Path | None, Parameter(metavar="PHOTO")] = None,
    overwrite: Annotated[bool, FLAG] = False,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """List the built-in styles, or show them on a photograph.

    Use a name with --style; nothing has to be downloaded.

    For example:

        metastyle styles
        metastyle styles --gallery gallery.html --photo photo.jpg
        metastyle styles --gallery gallery.jpg

    Args:
        gallery: Write a page (.html) or a sheet (.jpg, .png) with the photograph in every style.
        photo: The photograph; by default one that comes with the program.
        overwrite: Replace the gallery if it exists.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    _check(gallery, photo, overwrite=overwrite)
    from metastyle.weights.builtin_styles import PHOTOGRAPH, artworks

    found = artworks()
    details = {"styles": [_record(artwork) for artwork in found]}
    if gallery is None:
        width = max(len(artwork.name) for artwork in found)
        return Outcome(
            "styles", details=details, lines=[f"{one.name:<{width}}  {_caption(one)}" for one in found]
        )
    pictures = _repaint_all(found, photo or PHOTOGRAPH, device, common.quiet)
    gallery.parent.mkdir(parents=True, exist_ok=True)
    write = _write_page if gallery.suffix.lower() == ".html" else _write_sheet
    write(gallery, pictures, found, overwrite=overwrite)
    return Outcome(
        "styles",
        outputs=[{"output": gallery}],
        details=details,
        lines=[f"{gallery}  {len(found)} styles"],
    )


def _check(gallery: Path | None, photo: Path | None, *, overwrite: bool) -> None:
    if gallery is not None:
        check_output(gallery, overwrite=overwrite)
        if gallery.suffix.lower() not in (".html", *WRITABLE):
            raise MetastyleError(f"{gallery}: a gallery is a page or a picture: use .html, .jpg or .png")
    elif photo is not None:
        raise MetastyleError("--photo is shown in a gallery: add --gallery gallery.html")
    if photo is not None:
        check_is_file(photo)


def _record(artwork: Artwork) -> dict[str, Any]:
    return {
        "name": artwork.name,
        "title": artwork.title,
        "artist": artwork.artist,
        "year": artwork.year,
        "terms": artwork.terms,
        "bytes": artwork.size,
    }


def _repaint_all(found: list[Artwork], photo: Path, device: str, quiet: bool) -> list[Picture]:
    """The original photograph, then in every style."""
    from metastyle import api
    from metastyle.images.decode import open_picture
    from metastyle.images.picture import resize

    picture = resize(open_picture(photo), GALLERY_SIZE)
    with Display(quiet) as display:
        return [
            picture,
            *(
                api.load(a.path).render(
                    picture, device=device, progress=display.share("painting", index, len(found), a.name)
                )
                for index, a in enumerate(found)
            ),
        ]


def _write_sheet(path: Path, pictures: list[Picture], found: list[Artwork], *, overwrite: bool) -> None:
    from metastyle.images.encode import save_picture
    from metastyle.images.picture import Picture, eight_bits
    from metastyle.images.sheet import sheet

    labels = ["photograph", *(a.name for a in found)]
    pixels = [eight_bits(p.pixels) for p in pictures]
    rows = range(0, len(pixels), _COLUMNS)
    drawn = sheet([pixels[i : i + _COLUMNS] for i in rows], [labels[i : i + _COLUMNS] for i in rows])
    save_picture(Picture(pixels=drawn), path, overwrite=overwrite)


def _write_page(path: Path, pictures: list[Picture], found: list[Artwork], *, overwrite: bool) -> None:
    """One self-contained HTML file."""
    from metastyle.files import write_bytes
    from metastyle.images.encode import to_pil

    def figure(picture: Picture, name: str, caption: str) -> str:
        file = io.BytesIO()
        to_pil(picture).convert("RGB").save(file, "JPEG", quality=88)
        data = base64.b64encode(file.getvalue()).decode()
        words = f"<b>{html.escape(name)}</b><br>{html.escape(caption)}"
        return (
            f'<figure><img alt="{html.escape(name)}" src="data:image/jpeg;base64,{data}">'
            f"<figcaption>{words}</figcaption></figure>"
        )

    captions = [("photograph", ""), *((a.name, _caption(a)) for a in found)]
    figures = "\n".join(figure(p, *words) for p, words in zip(pictures, captions, strict=True))
    write_bytes(path, _PAGE.replace("FIGURES", figures).encode(), overwrite=overwrite)


def _caption(artwork: Artwork) -> str:
    return f"{artwork.artist}, {artwork.title}, {artwork.year}"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>metastyle: built-in styles</title>
<style>
  body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; background: #faf9f6; color: #282828; }
  main { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.5rem; }
  figure { margin: 0; } img { width: 100%; display: block; } figcaption { padding-top: .4rem; }
</style>
<h1>Built-in styles</h1>
<p>Use one with <code>metastyle stylize photo.jpg --style NAME</code>.</p>
<main>
FIGURES
</main></html>
"""
