"""Markdown as one HTML file, with everything inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from metastyle.images.decode import open_picture
from metastyle.images.picture import eight_bits

_LARGEST = 4096  # pixels of a picture's long edge


def self_contained(markdown: str, title: str, plots: Mapping[str, str], folder: Path) -> str:
    """Markdown as one HTML file with its pictures inside.

    Args:
        markdown: the page.
        title: its title.
        plots: SVG by the names of the files that stand for them.
        folder: the folder of the other pictures.
    """
    from markdown_it import MarkdownIt

    def image(tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
        target, alternative = str(tokens[index].attrs["src"]), html.escape(tokens[index].content)
        name = target.removesuffix(".svg")
        if name in plots:
            return f'<span role="img" aria-label="{alternative}">{plots[name]}</span>'
        return f'<img alt="{alternative}" src="data:image/webp;base64,{_webp(folder / target)}">'

    converter = MarkdownIt("commonmark", {"html": False}).enable("table")
    converter.renderer.rules["image"] = image  # type: ignore[attr-defined]
    body = converter.render(markdown).replace("<table>", '<div class="wide"><table>')
    return _PAGE.format(title=html.escape(title), body=body.replace("</table>", "</table></div>"))


def _webp(path: Path) -> str:
    file = io.BytesIO()
    picture = Image.fromarray(eight_bits(open_picture(path).pixels))
    picture.thumbnail((_LARGEST, _LARGEST))
    picture.save(file, "WEBP", quality=80)
    return base64.b64encode(file.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2937; background: #faf9f6; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #d6d3d1; text-align: left; white-space: nowrap; }}
pre {{ background: #f1efe9; padding: .8rem; overflow-x: auto; }}
svg, img {{ max-width: 100%; height: auto; }}
</style>
{body}
</html>
"""
