"""Frames per second of films, compared with plain loops over frames.

    python benchmarks/video/measure.py [--style night] [--rounds 2]

Every method decodes the same clip, repaints it in the same style and encodes it as H.264, in turns, in one
process. Writes speed.md beside this file. Seconds mean little on a shared machine; the ratios are the result.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnxruntime
import torch
from PIL import Image
from rich.progress import track

from metastyle.api import as_style
from metastyle.films.clip import open_clip
from metastyle.films.encode import choose_encoding
from metastyle.films.job import FilmJob
from metastyle.films.painter import Painter, frame_by_frame
from metastyle.films.temporal import TemporalPainter
from metastyle.rendering.onnx import export_onnx
from metastyle.style import Style

HERE = Path(__file__).parent
PHOTO = HERE.parents[1] / "examples" / "photos" / "lake.jpg"
SIZES = {"360p": (640, 360, 16), "720p": (1280, 720, 8), "1080p": (1920, 1080, 6)}
"""Width, height and the number of frames."""
REFERENCE = "loop over stylize()"


def draw_clip(path: Path, width: int, height: int, frames: int) -> None:
    """A slow pan over a photograph."""
    wide = (
        Image.open(PHOTO).convert("RGB").resize((width * 5 // 4, height * 5 // 4), Image.Resampling.LANCZOS)
    )
    pixels = np.asarray(wide)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            left = index * (wide.width - width) // max(1, frames - 1) // 4
            view = np.ascontiguousarray(pixels[left // 2 : left // 2 + height, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())


def film(clip: Path, output: Path, painter: Painter) -> None:
    """As ``metastyle video`` does it."""
    job = FilmJob(open_clip(clip), output, choose_encoding(output, "h264", None), identity={}, overwrite=True)
    for _ in job.run(painter):
        pass
    job.finish()


def loop(clip: Path, output: Path, paint: Callable[[np.ndarray], np.ndarray]) -> None:
    """A plain loop over frames: decode, repaint, encode."""
    with av.open(str(clip)) as source, av.open(str(output), "w") as container:
        video = source.streams.video[0]
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for frame in source.decode(video):
            painted = paint(frame.to_ndarray(format="rgb24"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(painted, format="rgb24")))
        container.mux(stream.encode())


def ways(style: Style, folder: Path, threads: int) -> dict[str, Callable[[Path, Path], None]]:
    export_onnx(style.network(), folder / "style.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "style.onnx", options, ["CPUExecutionProvider"])

    def engine(pixels: np.ndarray) -> np.ndarray:
        content = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / 255
        result: np.ndarray = session.run(None, {"content": content})[0][0].transpose(1, 2, 0)
        return (result * 255 + 0.5).astype(np.uint8)

    stylizer = style.stylizer(precision="float32")
    return {
        REFERENCE: lambda clip, out: loop(clip, out, style.stylize),
        "loop over onnxruntime": lambda clip, out: loop(clip, out, engine),
        "metastyle video, every frame independently": lambda clip, out: film(
            clip, out, frame_by_frame(stylizer)
        ),
        "metastyle video, no smoothing": lambda clip, out: film(
            clip, out, TemporalPainter(stylizer, smoothing=0)
        ),
        "metastyle video": lambda clip, out: film(clip, out, TemporalPainter(stylizer)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--style", default="night")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    style = as_style(arguments.style)
    assert style is not None
    best: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = ways(style, folder, arguments.threads or 0)
        for size, (width, height, frames) in SIZES.items():
            draw_clip(folder / f"{size}.mp4", width, height, frames)
        for _ in track(range(arguments.rounds), "measuring"):
            for size, (_, _, frames) in SIZES.items():
                for way, run in table.items():
                    started = time.perf_counter()
                    run(folder / f"{size}.mp4", folder / "out.mp4")
                    rate = frames / (time.perf_counter() - started)
                    best[way, size] = max(best.get((way, size), 0.0), rate)
                    (folder / "out.mp4").unlink()
    lines = ["| method | " + " | ".join(f"{s}, frames/s | ratio" for s in SIZES) + " |"]
    lines.append("|---" * (1 + 2 * len(SIZES)) + "|")
    for way in table:
        cells = (f"{best[way, s]:.2f} | {best[way, s] / best[REFERENCE, s]:.2f}" for s in SIZES)
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    (HERE / "speed.md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
