"""Checks that films are byte for byte the same as with an earlier commit.

    python scripts/same_films.py COMMIT

Both versions repaint the same small clips with the same commands, in separate processes; the films and the
previews must be equal. Exits with 1 if any differs.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "plain.mp4": ["short.mp4"],
    "each.mp4": ["short.mp4", "--frame-by-frame", "--keep-color", "--strength", "0.6"],
    "still.mov": ["short.mp4", "--smoothing", "0", "--strength", "1.4", "--max-memory", "8MB"],
    "brush.mkv": ["wide.mp4", "--brush", "8", "--grain", "1.5", "--codec", "hevc", "--quality", "30"],
    "excerpt.webm": ["long.mp4", "--from", "0.2", "--to", "3", "--size", "32"],
    "preview.png": ["wide.mp4", "--preview", "0.2", "--size", "128"],
}
RUN = """
import json, sys
from metastyle.cli.main import main

for command in json.loads(sys.argv[1]):
    sys.argv = ["metastyle", "video", *command, "--style", "mosaic", "--device", "cpu", "--quiet"]
    assert not main(), command
"""


def draw_clip(path: Path, width: int, height: int, frames: int) -> None:
    """Moving waves in front of noise, with a cut in the middle, a flash, and a tone."""
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=Fraction(25), options={"crf": "12"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio: Any = container.add_stream("aac", rate=48000)
        for index in range(frames):
            late = index >= frames // 2
            wave = 90 * np.sin(x / (7 + 12 * late) + y / 11 + index / 4)[..., None] * [1, 0.5 - late, 0.8]
            picture = np.roll(noise, index, axis=1) + wave + (120 if index != frames // 4 else 255)
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, frames * 1920, 960):
            tone = np.sin((start + np.arange(960)) / 20).astype(np.float32) / 4
            sound = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
            sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def content(path: Path) -> object:
    """A file's bytes; for Matroska, which contains a random number, its packets with their times."""
    if path.suffix not in (".mkv", ".webm"):
        return path.read_bytes()
    with av.open(str(path)) as container:
        return [
            (packet.stream_index, packet.pts, packet.dts, packet.duration, bytes(packet))
            for packet in container.demux()
        ]


def main() -> int:
    (commit,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(
            ["git", "archive", commit, "src"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        draw_clip(folder / "short.mp4", 64, 48, 24)
        draw_clip(folder / "wide.mp4", 144, 64, 8)
        draw_clip(folder / "long.mp4", 48, 32, 80)
        films: list[dict[str, object]] = []
        for source in (folder / "src", ROOT / "src"):
            made = folder / f"films {len(films)}"
            made.mkdir()
            commands = [
                [str(folder / clip), *options, "-o", str(made / out)]
                for out, (clip, *options) in COMMANDS.items()
            ]
            environment = os.environ | {"PYTHONPATH": str(source), "XDG_CACHE_HOME": str(folder / "cache")}
            subprocess.run([sys.executable, "-c", RUN, json.dumps(commands)], check=True, env=environment)
            films.append({path.name: content(path) for path in sorted(made.iterdir())})
    differing = [out for out in COMMANDS if films[0].get(out) != films[1].get(out)]
    for out in COMMANDS:
        print(f"{out}: {'differs' if out in differing else 'equal'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
