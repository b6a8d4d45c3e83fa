"""Damaged inputs: every one is read or refused in one line, without a traceback, a hang or a leftover file.

    python scripts/damaged_inputs.py [--count 10000] [--first 0] [--seed 0] [--minutes 60] [--timeout 60]

Input N is a pure function of the seed and N: ``--first N --count 1 --keep FOLDER`` repeats it and keeps it.
The inputs are pictures in every format that can be read, the same as masks and as paintings, films, style
files, TOML configurations, the JSON files of results, and the files of unfinished films. Each goes to the
program as a file. A child process does the work; it is replaced when it crashes or hangs. At the end, a table
counts the outcomes, and the exit code is 1 if there was a fault. The extra ``dev`` is needed.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from metastyle.films.job import FilmJob
    from metastyle.films.painter import Painter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
HEIC = ROOT / "tests" / "images" / "data"
LONGEST_LINE = 500

Generator = np.random.Generator
Sources = dict[str, dict[str, bytes]]
"""Undamaged files by kind and name."""


def pictures() -> dict[str, bytes]:
    random = np.random.default_rng(1)
    rgba = Image.fromarray(random.integers(0, 256, (24, 32, 4), dtype=np.uint8))
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(random.integers(0, 65536, (24, 32), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    frames = {"save_all": True, "append_images": [rgb.rotate(180)]}
    found: dict[str, bytes] = {path.name: path.read_bytes() for path in sorted(HEIC.glob("*.heic"))}

    def add(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found[name] = stream.getvalue()

    add("baseline.jpg", rgb, "JPEG", exif=exif, dpi=(72, 72))
    add("progressive.jpg", rgb, "JPEG", progressive=True)
    add("gray.jpg", gray, "JPEG")
    add("cmyk.jpg", rgb.convert("CMYK"), "JPEG")
    add("rgb.png", rgb, "PNG", exif=exif)
    add("rgba.png", rgba, "PNG")
    add("palette.png", rgb.quantize(16), "PNG", transparency=b"\0\x80\xff")
    add("bits.png", rgb.convert("1"), "PNG")
    add("deep.png", deep, "PNG")
    add("animated.png", rgb, "PNG", **frames)
    long = PngImagePlugin.PngInfo()
    long.add_text("workflow", "x" * 2_000_000, zip=True)
    add("text.png", rgb, "PNG", pnginfo=long)
    add("lossy.webp", rgb, "WEBP", exif=exif)
    add("lossless.webp", rgba, "WEBP", lossless=True)
    add("animated.webp", rgb, "WEBP", **frames)
    add("rgb.avif", rgb, "AVIF", exif=exif)
    add("rgba.avif", rgba, "AVIF")
    add("raw.tif", rgb, "TIFF", exif=exif)
    add("deflate.tif", rgba, "TIFF", compression="tiff_adobe_deflate")
    add("lzw.tif", rgb, "TIFF", compression="tiff_lzw")
    add("jpeg.tif", rgb, "TIFF", compression="jpeg")
    add("deep.tif", deep, "TIFF")
    add("pages.tif", rgb, "TIFF", **frames)
    add("rgb.bmp", rgb, "BMP")
    add("palette.bmp", rgb.quantize(16), "BMP")
    add("still.gif", rgb, "GIF")
    add("animated.gif", rgb, "GIF", **frames)
    return found


def films(folder: Path) -> dict[str, bytes]:
    from clips import make_clip, moving

    frames = moving(6, (32, 32))
    vp9: dict[str, Any] = {"codec": "libvpx-vp9", "options": {"b:v": "90k"}, "sound": "libopus"}
    made = [
        make_clip(folder / "late.mp4", frames),
        make_clip(folder / "fast.mp4", frames, container_options={"movflags": "+faststart"}),
        make_clip(folder / "a.mkv", frames),
        make_clip(folder / "a.ts", frames, sound="mp2"),
        make_clip(folder / "a.avi", frames, codec="mpeg4", options={}, sound="mp3"),
        make_clip(folder / "a.webm", frames, **vp9),
        make_clip(folder / "reordered.avi", frames, sound="mp3"),
        make_clip(folder / "code.mov", frames, metadata={"timecode": "01:02:03:04"}),
    ]
    animation = pictures()["animated.webp"]
    return {path.name: path.read_bytes() for path in made} | {"animated.webp": animation}


def styles(folder: Path) -> dict[str, bytes]:
    from metastyle.style import Style
    from metastyle.weights.builtin_styles import builtin_path

    path = builtin_path("night")
    assert path is not None
    whole = Style.load(path)
    norms = {name: p for name, p in whole.parameters.items() if "norm" in name}
    small = Style(norms, "instance_norm", whole.base, "night", whole.painting_sha256, whole.settings)
    small.save(folder / "small.safetensors")
    found = (folder / "small.safetensors").read_bytes()
    return {"small.safetensors": found, "again.safetensors": found, "whole.safetensors": path.read_bytes()}


def texts() -> Sources:
    configs = ROOT / "src" / "metastyle" / "training" / "configs"
    row = {
        "system": "adain",
        "size": 256,
        "seconds": 0.25,
        "name": "zwölf \U0001f3a8",
        "more": [1, None, {"a": []}],
    }
    return {
        "configuration": {path.name: path.read_bytes() for path in sorted(configs.glob("*.toml"))},
        "results": {"rows.json": json.dumps([row, row], indent=1).encode()},
    }


def unfinished_film(clip: bytes) -> dict[str, bytes]:
    """What a film job leaves behind that is stopped after four of six frames."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "late.mp4")
        path.write_bytes(clip)
        job = film_job(path)
        run = job.run(temporal_painter())
        while next(run).frames < 5:
            pass
        run.close()
        return {part.name: part.read_bytes() for part in sorted(job.segments.folder.iterdir())}


def undamaged() -> Sources:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, clips = pictures(), films(folder)
        return {
            "picture": images,
            "mask": images,
            "painting": images,
            "film": clips,
            "unfinished film": unfinished_film(clips["late.mp4"]),
            "style": styles(folder),
            **texts(),
        }


# Kinds take turns. A film costs a hundred times as much as a text.
TURNS = (
    *("picture", "mask", "painting", "picture", "style", "film", "picture", "mask", "painting", "picture"),
    *("configuration", "picture", "results", "unfinished film", "style", "picture"),
)


# ---- damage


def cut(data: bytes, random: Generator) -> bytes:
    return data[: int(random.integers(0, len(data)))]


def flipped(data: bytes, random: Generator) -> bytes:
    """A few bits are flipped, half of the time in the header."""
    changed = bytearray(data)
    reach = len(data) if random.random() < 0.5 else min(len(data), 120)
    for at in random.integers(0, reach, int(random.choice([1, 2, 5, 50]))):
        changed[at] ^= 1 << int(random.integers(8))
    return bytes(changed)


def extreme(data: bytes, random: Generator) -> bytes:
    """Sizes, counts and types in the header are the smallest and largest numbers."""
    changed = bytearray(data)
    for at in random.integers(0, min(len(data), 600), 4):
        value = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
        changed[at : at + int(random.choice([1, 2, 4]))] = bytes([value]) * len(changed[at : at + 4])
    return bytes(changed)


def zeroed(data: bytes, random: Generator) -> bytes:
    at, length = int(random.integers(len(data))), int(random.choice([10, 200, 2000]))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def moved(data: bytes, random: Generator) -> bytes:
    """Blocks are in another order."""
    size = max(1, len(data) // int(random.integers(2, 12)))
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(blocks[i] for i in random.permutation(len(blocks)))


def shifted(data: bytes, random: Generator) -> bytes:
    """A few bytes are missing, repeated or new."""
    at, size = int(random.integers(len(data))), int(random.integers(1, 64))
    put = [b"", random.bytes(size), data[max(0, at - size) : at]][int(random.integers(3))]
    return data[:at] + put + data[at + (size if not put else 0) :]


def noise(data: bytes, random: Generator) -> bytes:
    """A true beginning, then anything."""
    return data[: int(random.integers(0, 40))] + random.bytes(int(random.integers(1, 4000)))


def nested(data: bytes, random: Generator) -> bytes:
    """Brackets without end, which exhaust parsers that call themselves."""
    at = int(random.integers(len(data)))
    return data[:at] + [b"[", b"{", b'{"a":', b"a = ["][int(random.integers(4))] * 20_000 + data[at:]


def another_value(data: bytes, random: Generator) -> bytes:
    """A number, a string or a list of a text is something else."""
    import re

    found = list(re.finditer(rb"(?<=[=:] )[^\n,\]}]+", data)) or list(re.finditer(rb"[a-z]+", data))
    if not found:
        return data
    value = found[int(random.integers(len(found)))]
    odd = [
        b"-1",
        b"0",
        b"1e999",
        b"nan",
        b"true",
        b'"x"',
        b"[]",
        b"{}",
        b"9" * 5000,
        b'"\\ud800"',
        b"\xff",
        b"null",
    ]
    return data[: value.start()] + odd[int(random.integers(len(odd)))] + data[value.end() :]


DAMAGES: tuple[Callable[[bytes, Generator], bytes], ...] = (
    cut, flipped, extreme, zeroed, moved, shifted, noise,
)  # fmt: skip
TEXT_DAMAGES = (*DAMAGES, nested, another_value, another_value)


@dataclass(frozen=True)
class Case:
    number: int
    kind: str
    name: str
    damage: str
    data: bytes


def case(sources: Sources, seed: int, number: int) -> Case:
    random = np.random.default_rng([seed, number])
    kind = TURNS[number % len(TURNS)]
    name = str(random.choice(list(sources[kind])))
    damages = TEXT_DAMAGES if name.endswith(("json", "toml")) else DAMAGES
    damage = damages[int(random.integers(len(damages)))]
    return Case(number, kind, name, damage.__name__, damage(sources[kind][name], random))


# ---- what the program does with it


@dataclass
class Row:
    system: str
    size: int
    seconds: float
    name: str
    more: list[Any]


def read(one: Case, path: Path, sources: Sources) -> None:
    """Use the file as the program would.

    Raises:
        MetastyleError: it is refused.
    """
    import metastyle
    from metastyle.bench.table import read_rows
    from metastyle.images.color import match_color
    from metastyle.images.decode import open_picture
    from metastyle.images.encode import save_picture
    from metastyle.images.transparency import visible_painting
    from metastyle.training.config_file import load_config

    photo = np.full((24, 32, 3), 90, np.uint8)
    if one.kind == "picture":
        picture = open_picture(path)
        target = path.with_name("result" + (".tif", ".jpg", ".png", ".webp", ".avif")[one.number % 5])
        save_picture(picture, target)
        target.unlink()
    elif one.kind == "mask":
        metastyle.stylize(photo, None, regions=[(path, None)])
    elif one.kind == "painting":
        picture = visible_painting(open_picture(path))
        match_color(picture.pixels, photo, picture.alpha, None)
    elif one.kind == "film":
        make_film(path)
    elif one.kind == "style":
        metastyle.load(path)
    elif one.kind == "configuration":
        load_config(path)
    elif one.kind == "results":
        read_rows(path, Row)
    else:
        resume_film(one, sources)


def film_job(path: Path) -> FilmJob:
    """The film of a clip, in segments of two frames."""
    from metastyle.films.clip import open_clip
    from metastyle.films.encode import choose_encoding
    from metastyle.films.job import FilmJob

    out = path.with_name("result.mp4")
    return FilmJob(open_clip(path), out, choose_encoding(out, None, None), identity={}, frames_per_segment=2)


def temporal_painter() -> Painter:
    """The usual painter of films, whose state is saved after every segment."""
    from metastyle.core.network import TransformationNetwork
    from metastyle.films.temporal import TemporalPainter
    from metastyle.rendering.stylizer import Stylizer

    return TemporalPainter(Stylizer(TransformationNetwork(), device="cpu"))


def make_film(path: Path) -> None:
    from metastyle.films.animation import as_film, is_animation
    from metastyle.films.painter import FrameByFrame

    with as_film(path) if is_animation(path) else nullcontext(path) as clip:
        job = film_job(clip)
        for _ in job.run(FrameByFrame(lambda pixels: pixels)):
            pass
        job.finish()
        job.output.unlink()


def resume_film(one: Case, sources: Sources) -> None:
    """Finish an unfinished film, one of whose files is damaged."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "late.mp4")
        path.write_bytes(sources["film"][path.name])
        parts = Path(name, "result.mp4.parts")
        parts.mkdir()
        for part, content in (sources[one.kind] | {one.name: one.data}).items():
            (parts / part).write_bytes(content)
        job = film_job(path)
        for _ in job.run(temporal_painter()):
            pass
        job.finish()


def outcome(one: Case, folder: Path, sources: Sources) -> tuple[str, str]:
    """What became of an input: 'read', 'refused' or 'fault', and the message or traceback."""
    from metastyle.errors import MetastyleError

    path = folder / one.name
    path.write_bytes(one.data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(one, path, sources)
        result, text = "read", ""
    except MetastyleError as error:
        result, text = "refused", str(error)
        if not text.isprintable() or len(text.replace(str(folder), "")) > LONGEST_LINE:
            result = "fault"
    except BaseException:
        result, text = "fault", traceback.format_exc()
    path.unlink(missing_ok=True)
    left = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    return ("fault", f"left behind: {left}; {text}") if left else (result, text)


def serve(pipe: Connection, sources: Sources, seed: int) -> None:
    """The child process: answers each number with its outcome."""
    import torch

    torch.set_num_threads(1)
    logging.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)  # remarks of libtiff and FFmpeg
    with tempfile.TemporaryDirectory() as folder:
        while (number := pipe.recv()) is not None:
            pipe.send(outcome(case(sources, seed, number), Path(folder), sources))


class Child:
    """A process that is replaced when it crashes or hangs."""

    def __init__(self, sources: Sources, seed: int, timeout: float) -> None:
        self._sources, self._seed, self._timeout = sources, seed, timeout
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(other, self._sources, self._seed), daemon=True
        )
        self._process.start()
        other.close()
        self._timely = 120.0  # imports come first

    def ask(self, number: int) -> tuple[str, str]:
        self._pipe.send(number)
        try:
            if self._pipe.poll(self._timeout + self._timely):
                self._timely = 0.0
                answer: tuple[str, str] = self._pipe.recv()
                return answer
            text = f"hangs: no answer within {self._timeout:g} s"
        except EOFError:
            text = "crashes"
        self._process.kill()
        self._process.join()
        if text == "crashes":
            text += f" with exit code {self._process.exitcode}"
        self._start()
        return "fault", text

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--timeout", type=float, default=60, help="seconds after which an input hangs")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the inputs there, too")
    arguments = parser.parse_args()
    console = Console()
    sources = undamaged()
    child = Child(sources, arguments.seed, arguments.timeout)
    counts: Counter[tuple[str, str]] = Counter()
    ends = time.monotonic() + 60 * arguments.minutes
    number = arguments.first
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("damaged inputs", total=arguments.count)
        while number < arguments.first + arguments.count and time.monotonic() < ends:
            one = case(sources, arguments.seed, number)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{number}-{one.name}").write_bytes(one.data)
            result, text = child.ask(number)
            counts[one.kind, result] += 1
            if result == "fault":
                title = f"{number}: {one.kind} {one.name}, {one.damage}"
                progress.console.print(f"{title}\n{text}", markup=False, highlight=False)
            number += 1
            progress.advance(task)
    child.close()
    outcomes = ("read", "refused", "fault")
    for kind in sources:
        row = "  ".join(f"{counts[kind, result]:6} {result}" for result in outcomes)
        console.print(f"{kind:16}{row}", highlight=False)
    totals = [sum(counts[kind, result] for kind in sources) for result in outcomes]
    console.print(
        f"{sum(totals)} inputs, {totals[2]} faults; continue with --seed {arguments.seed} --first {number}",
        highlight=False,
    )
    return 1 if totals[2] else 0


if __name__ == "__main__":
    sys.exit(main())
