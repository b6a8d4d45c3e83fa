"""The settings of a studio: where it listens, where it keeps files, and how much it accepts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

PORT = 8741
"""Where the studio listens unless another port is asked for."""


def default_folder() -> Path:
    """The user's folder for styles, pictures and results, by the platform's own convention."""
    return Path(platformdirs.user_data_dir("metastyle", appauthor=False)) / "studio"


@dataclass(frozen=True)
class Limits:
    """What is refused, with a clear answer, before any work is done for it."""

    picture_bytes: int = 128 << 20
    picture_pixels: int = 100_000_000
    clip_bytes: int = 4 << 30
    style_bytes: int = 16 << 20
    request_bytes: int = 1 << 20
    """Of a JSON document."""
    waiting: int = 32
    """Jobs that may wait."""
    stored_bytes: int = 20 << 30
    """Of everything that the studio keeps."""
    free_bytes: int = 512 << 20
    """Disk space that is left alone, and memory that must be free for a picture to be decoded."""


@dataclass(frozen=True)
class StudioSettings:
    """One studio."""

    folder: Path = field(default_factory=default_folder)
    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    """Required from every caller; a studio that listens beyond this machine has one."""
    device: str = "auto"
    limits: Limits = Limits()

    @property
    def private(self) -> bool:
        """Whether only this machine can reach the studio."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
