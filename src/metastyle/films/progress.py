"""Progress, speed and remaining time of a film."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from metastyle.films.clip import Clip
from metastyle.films.frames import Frame

_FRAMES = 40  # over which the speed is measured


@dataclass(frozen=True)
class Progress:
    """Progress of a film after a frame."""

    frames: int
    """Frames painted so far, including those of an earlier, interrupted run."""
    frames_before: int
    """Frames that the earlier run had finished."""
    seconds: float
    """Seconds of the film that are painted."""
    share: float | None
    """Finished share, 0 to 1; None if the clip does not declare its duration."""
    frames_per_second: float
    """Recent speed in frames per second."""
    seconds_left: float | None
    """Estimated seconds left; None if the clip does not declare its duration."""


class Pace:
    """Makes a ``Progress`` for every frame. ``begin`` and ``end`` are time stamps; None is the clip's own."""

    def __init__(self, clip: Clip, begin: int | None, end: int | None) -> None:
        self._clip = clip
        self._begin = clip.ticks(0) if begin is None else begin
        over = None if clip.seconds is None else clip.ticks(clip.seconds)
        self._end = end if over is None else over if end is None else min(over, end)
        self._moments = deque([(time.perf_counter(), 0, self._begin)], maxlen=_FRAMES)
        self._run = 0

    def after(self, frame: Frame, count: int) -> Progress:
        """The progress after ``frame``, the ``count``th painted frame of the film."""
        now, at = time.perf_counter(), frame.pts + frame.duration
        if not self._run:
            self._moments[0] = (self._moments[0][0], 0, frame.pts)
        self._run += 1
        self._moments.append((now, self._run, at))
        since, run, ticks = self._moments[0]
        elapsed = max(now - since, 1e-9)
        share = left = None
        if self._end is not None and self._end > self._begin:
            share = min(1.0, max(0.0, (at - self._begin) / (self._end - self._begin)))
            left = max(0.0, (self._end - at) * elapsed / max(1, at - ticks))
        seconds = float((at - self._begin) * self._clip.time_base)
        return Progress(count, count - self._run, seconds, share, (self._run - run) / elapsed, left)
