"""The demo of ``make demo``: one photograph, one painting, one command, and a contact sheet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from metastyle.images.sheet import sheet

EXAMPLES = Path(__file__).parent
PHOTO = EXAMPLES / "photos" / "lake.jpg"
PAINTING = EXAMPLES / "paintings" / "night.jpg"
OUT = Path("out/demo")


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    result = OUT / f"{PHOTO.stem}-{PAINTING.stem}.jpg"
    metastyle = shutil.which("metastyle", path=str(Path(sys.executable).parent)) or "metastyle"
    command = [metastyle, "stylize", PHOTO, "--style", PAINTING, "-o", result, "--overwrite"]
    print("$", *["metastyle", *map(str, command[1:])], flush=True)
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        return status
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in (PHOTO, PAINTING, result)]
    labels = ["photo", "painting", "photo in the painting's style"]
    Image.fromarray(sheet([pictures], [labels], cell=640)).save(OUT / "sheet.jpg", quality=92)
    print(f"\nThe picture is {result}, with photo and painting on one sheet: {OUT / 'sheet.jpg'}.")
    print(f"Now your own:  {Path(metastyle)} stylize YOUR_PHOTO --style YOUR_PAINTING")
    return 0


if __name__ == "__main__":
    sys.exit(main())
