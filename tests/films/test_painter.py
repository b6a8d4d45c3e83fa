from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import make_clip, moving

from metastyle.errors import MetastyleError
from metastyle.films.clip import open_clip
from metastyle.films.frames import Frame
from metastyle.films.painter import frame_by_frame
from metastyle.films.progress import Pace
from metastyle.images import color


def test_color_and_strength_work_as_for_photographs() -> None:
    stylizer: Any = SimpleNamespace(render=lambda pixels, progress=None: 255 - pixels)
    (pixels,) = moving(1)
    assert np.array_equal(frame_by_frame(stylizer)(pixels), 255 - pixels)
    assert np.array_equal(frame_by_frame(stylizer, strength=0)(pixels), pixels)
    kept = frame_by_frame(stylizer, keep_color=True, strength=0.5)(pixels)
    assert np.array_equal(kept, color.mix(pixels, color.keep_color(pixels, 255 - pixels), 0.5))
    painter = frame_by_frame(stylizer)
    painter.restore(painter.state())
    with pytest.raises(MetastyleError, match="strength"):
        frame_by_frame(stylizer, strength=1.5)


def test_speed_share_and_remaining_time_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(50), sound=None))
    now = 100.0
    monkeypatch.setattr("metastyle.films.progress.time.perf_counter", lambda: now)
    pace = Pace(clip, clip.ticks(0.4), None)
    pixels = moving(1)[0]
    for number in range(10, 30):
        now += 0.5
        progress = pace.after(Frame(pixels, number * 512, 512), number - 9)
    assert progress.frames == 20 and progress.seconds == pytest.approx(0.8)
    assert progress.frames_per_second == pytest.approx(2)
    assert progress.share == pytest.approx(0.5)
    assert progress.seconds_left == pytest.approx(10)
