"""Pictures in and out, as people have them. All pixels inside the program are upright sRGB.

Opening reads JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP and the first frame of GIF and other animations; 1, 2,
4, 8 and 16 bits a channel; grayscale, palette, RGB, CMYK and CIELAB; alpha; EXIF orientation; ICC profiles.
Saving keeps alpha, profile, EXIF and resolution where the format of the extension can hold them.
"""

from __future__ import annotations

import io
import logging
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from metastyle.errors import MetastyleError
from metastyle.files import check_target, one_line, reason
from metastyle.images import decode as decoding
from metastyle.images import encode as encoding
from metastyle.images import profiles
from metastyle.images import stated_colors as stated
from metastyle.images.formats import pillow
from metastyle.images.formats.decoded import MIN_SIDE, Decoded, Samples, check_size, quiet

MAX_PIXELS = 100_000_000
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".tif", ".tiff", ".bmp", ".gif"}
)

_log = logging.getLogger(__name__)

_MODES = {"gray": "L", "rgb": "RGB", "cmyk": "CMYK", "lab": "LAB"}
_ROWS = 256  # rows handled at once where whole-picture temporaries would cost memory


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture in sRGB, and what its file said about it."""

    pixels: Samples
    """(H, W, 3), uint8 or uint16, sRGB; gray pictures have three equal channels."""
    alpha: Samples | None = None
    """(H, W), of the type of ``pixels``: 0 is transparent. Colors are not multiplied by it."""
    icc: bytes | None = None
    """The profile that the file carried, from which ``pixels`` were converted."""
    exif: bytes | None = None
    """Camera, time, place and author; never orientation or thumbnail."""
    dpi: tuple[float, float] | None = None
    gray: bool = False
    """Whether the file held one channel. It is written as one again while its channels are equal."""
    name: str = "<array>"
    """The file's name, for messages."""

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
        if self.alpha is not None and (
            self.alpha.shape != self.pixels.shape[:2] or self.alpha.dtype != self.pixels.dtype
        ):
            raise ValueError(
                f"alpha must be {self.pixels.dtype} of shape {self.pixels.shape[:2]}, "
                f"not {self.alpha.dtype} of shape {self.alpha.shape}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def with_pixels(self, pixels: Samples) -> Picture:
        """The same picture with other colors: size and type must be the same."""
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"expected {self.pixels.dtype} pixels of shape {self.pixels.shape}, "
                f"not {pixels.dtype} of shape {pixels.shape}"
            )
        return replace(self, pixels=pixels)


def open_picture(
    source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> Picture:
    """Open a picture from a path, from the bytes of a file, or from a binary stream (read from its start).

    Colors are converted to sRGB from the embedded ICC profile, or from what else the file says about them
    (code points of HEIC, AVIF and PNG; gAMA and cHRM; Adobe RGB in EXIF). A damaged profile, or one for
    another kind of picture, is taken as sRGB. HDR (PQ, HLG) becomes standard dynamic range, and of an
    animation the first frame is taken; both log a warning. 16 bits are kept (also of 10- and 12-bit HEIC;
    AVIF is read as 8), except where a profile other than sRGB must be converted, which is done at 8 bits.

    at_least: pixels along the shorter side that will do. Where that is cheaper (JPEG), the picture comes out
        smaller than it is, but not below that.

    Raises MetastyleError, naming the source, for what is missing, unreadable, empty, damaged, cut off, no
    picture, smaller than MIN_SIDE on a side, or larger than ``max_pixels`` (checked before
    decoding; beyond 178 megapixels Pillow's own limit, PIL.Image.MAX_IMAGE_PIXELS, has to be raised too).
    """
    if max_pixels < 1:
        raise MetastyleError(f"max_pixels must be positive, not {max_pixels}")
    if isinstance(source, str | Path):
        path, name = Path(source), one_line(source)
        try:
            with _open_file(path, name, max_pixels) as stream:
                return _open_stream(stream, name, max_pixels, at_least)
        except (OSError, ValueError) as error:
            raise MetastyleError(f"{name} cannot be read: {reason(error)}") from error
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_stream(io.BytesIO(source), "<bytes>", max_pixels, at_least)
    if not hasattr(source, "read"):
        raise MetastyleError(f"a picture is a path, bytes or a binary file, not {type(source).__name__}")
    given = getattr(source, "name", None)
    name = one_line(given) if isinstance(given, str) and given else "<stream>"
    try:
        if not source.seekable():
            source = io.BytesIO(source.read(_most_bytes(max_pixels) + 1))
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{name} cannot be read: {reason(error)}") from error
    return _open_stream(source, name, max_pixels, at_least)


def save_picture(
    picture: Picture, path: str | Path, *, overwrite: bool = False, quality: int | None = None
) -> None:
    """Write a picture in the format of the extension: .jpg .jpeg .png .webp .avif .tif .tiff .bmp.

    A picture that came with an RGB profile (Display P3, Adobe RGB) is converted back to it and carries it;
    after a CMYK, gray or input-only profile the file is plain sRGB. Where the format has no alpha (JPEG, BMP)
    the picture is laid on white. 16 bits are kept for gray pictures in PNG and TIFF, else rounded to 8.
    ``quality`` is 1 to 100; by default 95 for JPEG (4:4:4), 92 for WebP, 85 for AVIF (4:4:4).

    The file is written beside and renamed. Raises MetastyleError for an existing file unless ``overwrite``,
    an unknown extension, a missing or unwritable folder, a full disk; nothing is left behind then.
    """
    path = Path(path)
    format_name = encoding.format_of(path)
    check_target(path, overwrite=overwrite)
    image, icc = _for_saving(picture, format_name)
    encoding.write(
        image, path, overwrite=overwrite, quality=quality, icc=icc, exif=picture.exif, dpi=picture.dpi
    )


def check_output(path: str | Path, *, overwrite: bool = False) -> None:
    """Raise what save_picture would raise for ``path`` before any work: extension, folder, existing file."""
    encoding.format_of(Path(path))
    check_target(Path(path), overwrite=overwrite)


def list_pictures(folder: str | Path) -> list[Path]:
    """The pictures of a folder by extension, sorted by name; not those of sub-folders, no hidden files."""
    name = one_line(folder)
    try:
        entries = sorted(Path(folder).iterdir())
        return [
            p
            for p in entries
            if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".") and p.is_file()
        ]
    except NotADirectoryError:
        raise MetastyleError(f"{name} is a file; a folder of pictures was expected") from None
    except (OSError, ValueError) as error:
        raise MetastyleError(f"{name} cannot be listed: {reason(error)}") from error


def from_pil(image: Image.Image, *, name: str = "<image>") -> Picture:
    """A Picture from a Pillow image of any mode: orientation, profile, alpha as in ``open_picture``."""
    check_size(image.size, name)
    try:
        with quiet():
            return _to_picture(pillow.channels(image), name)
    except Exception as error:  # a lazily opened file decodes here, and decoders raise anything
        raise _damaged(error, name) from error


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow image in sRGB: L, LA, RGB or RGBA; I;16 for 16-bit gray. 16-bit color becomes 8 bits."""
    gray = picture.gray and _channels_equal(picture.pixels)
    if gray and picture.alpha is None and picture.pixels.dtype == np.uint16:
        return Image.fromarray(np.ascontiguousarray(picture.pixels[..., 0]))
    color = eight_bits(picture.pixels[..., :1] if gray else picture.pixels)
    if picture.alpha is not None:
        color = np.concatenate([color, eight_bits(picture.alpha)[..., None]], axis=2)
    return _as_image(color, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[color.shape[2]])


def resize(picture: Picture, long_edge: int) -> Picture:
    """Scale so that the longer edge is ``long_edge`` pixels, with Lanczos' filter (a = 3), up or down.

    The shorter edge is kept in proportion but not below MIN_SIDE. Averages are of sRGB values, as in nearly
    every viewer and in the pictures that the networks were trained on, not of linear light. Colors are
    weighted by alpha, so that what is transparent does not bleed into edges. 16 bits stay 16 bits.
    """
    width, height = picture.size
    if isinstance(long_edge, bool) or not hasattr(long_edge, "__index__") or long_edge < MIN_SIDE:
        raise MetastyleError(
            f"size {long_edge} is not possible; give a whole number of at least {MIN_SIDE} pixels"
        )
    scale = int(long_edge) / max(width, height)
    new = (max(MIN_SIDE, round(width * scale)), max(MIN_SIDE, round(height * scale)))
    check_size(new, f"{picture.name} at size {long_edge}", MAX_PIXELS)
    if new == (width, height):
        return picture
    if picture.alpha is None:
        if picture.pixels.dtype == np.uint8:
            scaled = Image.fromarray(picture.pixels).resize(new, Image.Resampling.LANCZOS)
            return replace(picture, pixels=np.array(scaled))
        planes = [_round_to(_lanczos(picture.pixels[..., c], new), np.uint16) for c in range(3)]
        return replace(picture, pixels=np.stack(planes, axis=2))
    opaque = picture.alpha.astype(np.float32) / np.iinfo(picture.alpha.dtype).max
    weight = _lanczos(opaque, new)
    planes = []
    for c in range(3):
        plain = picture.pixels[..., c].astype(np.float32)
        seen = _lanczos(plain * opaque, new) / np.maximum(weight, 1e-3)
        planes.append(_round_to(np.where(weight > 1e-3, seen, _lanczos(plain, new)), picture.pixels.dtype))
    alpha = _round_to(weight * np.iinfo(picture.alpha.dtype).max, picture.alpha.dtype)
    return replace(picture, pixels=np.stack(planes, axis=2), alpha=alpha)


def to_tensor(pixels: Samples) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (1, 3, H, W) float32 in [0, 1], contiguous."""
    _check_pixels(pixels)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes).div_(float(np.iinfo(pixels.dtype).max))[None]


def from_tensor(tensor: Tensor, dtype: DTypeLike = np.uint8) -> Samples:
    """(1, 3, H, W) or (3, H, W) in [0, 1], clamped -> (H, W, 3), rounded. Inverts ``to_tensor`` exactly."""
    planes = tensor.detach()
    if planes.ndim == 4 and planes.shape[0] == 1:
        planes = planes[0]
    if planes.ndim != 3 or planes.shape[0] != 3:
        raise ValueError(f"expected a tensor (1, 3, H, W) or (3, H, W), not {tuple(tensor.shape)}")
    kind = np.dtype(dtype)
    if kind not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are uint8 or uint16, not {kind}")
    pixels = np.empty((*planes.shape[1:], 3), dtype=kind)
    for top in range(0, pixels.shape[0], _ROWS):
        rows = planes[:, top : top + _ROWS].to("cpu", torch.float32)
        if not bool(torch.isfinite(rows).all()):
            raise MetastyleError("the picture holds values that are not numbers: the adaptation has diverged")
        scaled = rows.clamp(0, 1).mul_(float(np.iinfo(kind).max)).round_()
        pixels[top : top + _ROWS] = scaled.permute(1, 2, 0).numpy()
    return pixels


def eight_bits(samples: Samples) -> NDArray[np.uint8]:
    """Samples as 8 bits, rounded: 65535 -> 255."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    out = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), _ROWS):
        out[top : top + _ROWS] = (samples[top : top + _ROWS].astype(np.uint32) + 128) // 257
    return out


def _check_pixels(pixels: Samples) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"pixels must be uint8 or uint16 of shape (H, W, 3), not {pixels.dtype} of shape {pixels.shape}"
        )


def _open_file(path: Path, name: str, max_pixels: int) -> BinaryIO:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise MetastyleError(f"{name} does not exist") from None
    if stat.S_ISDIR(mode):
        raise MetastyleError(f"{name} is a folder; a picture was expected")
    if stat.S_ISFIFO(mode):
        with path.open("rb") as pipe:
            return io.BytesIO(pipe.read(_most_bytes(max_pixels) + 1))
    if not stat.S_ISREG(mode):
        raise MetastyleError(f"{name} is not a regular file; a picture was expected")
    return path.open("rb")


def _most_bytes(max_pixels: int) -> int:
    """More bytes than any file of a permitted picture: four 16-bit channels twice over, and metadata."""
    return 16 * max_pixels + (64 << 20)


def _open_stream(stream: BinaryIO, name: str, max_pixels: int, at_least: int | None) -> Picture:
    try:
        length = stream.seek(0, io.SEEK_END)
        if length == 0:
            raise MetastyleError(f"{name} is empty")
        if length > _most_bytes(max_pixels):
            raise MetastyleError(
                f"{name} has {length / 1e9:.1f} GB, too much for {max_pixels / 1e6:g} megapixels"
            )
        with quiet():
            return _to_picture(decoding.read(stream, name, max_pixels, at_least), name)
    except UnidentifiedImageError as error:
        raise MetastyleError(
            f"{name} is not a picture or is damaged at its start; {decoding.READABLE} can be read"
        ) from error
    except Image.DecompressionBombError as error:
        raise MetastyleError(
            f"{name} is too large: at most {max_pixels / 1e6:g} megapixels are read"
        ) from error
    except Exception as error:  # decoders of damaged data raise whatever they stumble over
        raise _damaged(error, name) from error


def _damaged(error: Exception, name: str) -> MetastyleError:
    if isinstance(error, MetastyleError):
        return error
    if isinstance(error, MemoryError):
        return MetastyleError(f"{name} needs more memory than is free, or is damaged")
    if isinstance(error, OSError) and error.errno is not None:
        return MetastyleError(f"{name} cannot be read: {reason(error)}")
    return MetastyleError(f"{name} is damaged, cut off or of an unknown kind: {reason(error)}")


def _to_picture(decoded: Decoded, name: str) -> Picture:
    if decoded.stated is not None and decoded.stated.hdr:
        _log.warning(
            "%s is HDR (%s): taken in standard dynamic range (sRGB), highlights above white are cut",
            name,
            decoded.stated.hdr,
        )
    if decoded.frames > 1:
        _log.warning(
            "%s is animated: the first of its %d frames is taken ('metastyle video' repaints them all)",
            name,
            decoded.frames,
        )
    pixels = _to_srgb(decoded)
    alpha = decoded.alpha
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = eight_bits(alpha)
    return Picture(
        pixels=_upright(pixels, decoded.orientation),
        alpha=None if alpha is None else _upright(alpha, decoded.orientation),
        icc=decoded.icc,
        exif=decoded.exif,
        dpi=decoded.dpi if decoded.dpi is None or decoded.orientation < 5 else decoded.dpi[::-1],
        gray=decoded.space == "gray",
        name=name,
    )


def _to_srgb(decoded: Decoded) -> Samples:
    samples, mode = decoded.samples, _MODES[decoded.space]
    if decoded.stated is not None and mode in ("L", "RGB"):
        samples = stated.to_srgb(samples, decoded.stated)
    transform = None if decoded.icc is None else profiles.to_srgb(decoded.icc, mode)
    if transform is None and mode == "LAB":
        transform = profiles.lab_to_srgb()
    if transform is not None and not profiles.changes_nothing(transform):
        return np.array(transform.apply(_as_image(samples, mode)))
    if mode == "CMYK":
        return np.array(_as_image(samples, mode).convert("RGB"))
    return np.repeat(samples[..., None], 3, axis=2) if mode == "L" else samples


def _as_image(samples: Samples, mode: str) -> Image.Image:
    height, width = samples.shape[:2]
    return Image.frombytes(mode, (width, height), eight_bits(samples).tobytes())


def _upright(array: Samples, orientation: int) -> Samples:
    """Undo the camera's position as EXIF numbers it: bit by bit, a transposition and two mirrorings."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _for_saving(picture: Picture, format_name: str) -> tuple[Image.Image, bytes | None]:
    """The Pillow image to encode, in its own color space, and the profile to embed."""
    if picture.alpha is not None and format_name not in encoding.WITH_ALPHA:
        picture = replace(picture, pixels=_on_white(picture.pixels, picture.alpha), alpha=None)
    if picture.pixels.dtype == np.uint16 and format_name not in encoding.WITH_16_BIT_GRAY:
        alpha = None if picture.alpha is None else eight_bits(picture.alpha)
        picture = replace(picture, pixels=eight_bits(picture.pixels), alpha=alpha)
    image = to_pil(picture)
    if picture.icc is None or format_name not in encoding.WITH_PROFILE or not image.mode.startswith("RGB"):
        return image, None
    transform = profiles.from_srgb(picture.icc)
    if transform is None:
        return image, None
    if profiles.changes_nothing(transform):
        return image, picture.icc
    own = transform.apply(image.convert("RGB"))
    if image.mode == "RGBA":
        own.putalpha(image.getchannel("A"))
    return own, picture.icc


def _on_white(pixels: Samples, alpha: Samples) -> Samples:
    out = np.empty_like(pixels)
    top = np.iinfo(pixels.dtype).max
    for row in range(0, len(pixels), _ROWS):
        opaque = alpha[row : row + _ROWS, :, None].astype(np.float32) / top
        laid = pixels[row : row + _ROWS] * opaque + (1 - opaque) * top
        out[row : row + _ROWS] = _round_to(laid, pixels.dtype)
    return out


def _channels_equal(pixels: Samples) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def _lanczos(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _round_to(values: NDArray[Any], dtype: DTypeLike) -> Samples:
    rounded: Samples = np.clip(np.rint(values), 0, np.iinfo(np.dtype(dtype)).max).astype(dtype)
    return rounded
