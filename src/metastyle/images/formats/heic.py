"""HEIC, as written by phones, with pi-heif."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

from metastyle.images.formats.decoded import Decoded
from metastyle.images.formats.metadata import clean_exif
from metastyle.images.picture import check_size
from metastyle.images.stated_colors import from_code_points


def is_heic(head: bytes) -> bool:
    """Whether this is an ISO media file with HEVC brands, or a plain MIAF without AVIF."""
    if head[4:8] != b"ftyp":
        return False
    if head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"):
        return True
    return head[8:12] in (b"mif1", b"msf1") and b"avif" not in head


def read(stream: BinaryIO, name: str, max_pixels: int) -> Decoded:
    """Decode HEIC, which comes out upright: rotation is part of the format and applied by libheif."""
    import pi_heif  # takes 30 ms, and most pictures do not need it

    file = pi_heif.open_heif(stream, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    check_size(file.size, name, max_pixels)
    samples = np.array(file)
    check_size((samples.shape[1], samples.shape[0]), name, max_pixels)  # may differ from the header's
    if samples.dtype != np.uint8:
        top = (1 << file.info["bit_depth"]) - 1  # 10 or 12 bits, widened so that white stays white
        samples = ((samples.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    alpha = None
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        alpha = samples[..., -1].copy()
        samples = np.ascontiguousarray(samples[..., :-1])
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    nclx = file.info.get("nclx_profile") or {}
    colors = from_code_points(nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2))
    icc = file.info.get("icc_profile")
    exif = None
    if file.info.get("exif"):
        tags = Image.Exif()
        tags.load(file.info["exif"])
        exif = clean_exif(tags)
    decoded = Decoded(samples, "rgb" if samples.ndim == 3 else "gray", alpha, icc, exif=exif)
    return decoded.with_code_points(colors)
