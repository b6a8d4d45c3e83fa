from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import STEP, decoded, make_clip, moving

from metastyle.errors import MetastyleError
from metastyle.films.clip import Colors, open_clip
from metastyle.films.decode import Damage
from metastyle.films.encode import CODECS, Encoding, FilmFormat, Segment, SegmentWriter, choose_encoding
from metastyle.films.frames import read_frames


def film_format_of(size: tuple[int, int], *, full_range: bool = False, matrix: int = 6) -> FilmFormat:
    return FilmFormat(*size, Fraction(1, 12800), Fraction(25), Fraction(1), Colors(matrix, 2, 2, full_range))


def write(path: Path, film_format: FilmFormat, encoding: Encoding, count: int = 6) -> Segment:
    writer = SegmentWriter(path, film_format, encoding)
    for number, picture in enumerate(moving(count, (film_format.width, film_format.height))):
        writer.add(picture, 1000 + STEP * number, STEP)
    return writer.close()


@pytest.mark.parametrize("codec", list(CODECS))
def test_encoded_frames_are_decoded_with_their_times(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    path = tmp_path / "a.mp4"
    segment = write(path, film_format_of((64, 48)), Encoding(codec, 8))
    assert dataclasses.replace(segment, delay=0) == Segment(6, 1000, 1000 + 5 * STEP, 1000 + 6 * STEP, 0)
    clip = open_clip(path)
    frames = list(read_frames(clip, Damage()))
    assert [f.pts for f in frames] == [STEP * i for i in range(6)]
    errors = [np.abs(f.pixels.astype(int) - p).mean() for f, p in zip(frames, moving(6), strict=True)]
    assert max(errors) < 2


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colors_are_kept_and_marked(matrix: int, full_range: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, film_format_of((64, 48), full_range=full_range, matrix=matrix), Encoding(quality=1))
    clip = open_clip(path)
    assert (clip.stored.matrix, clip.stored.full_range) == (matrix, full_range)
    frames = [f.pixels.astype(int) for f in read_frames(clip, Damage())]
    assert max(np.abs(f - p).mean() for f, p in zip(frames, moving(6), strict=True)) < 1.2


def test_chroma_is_sited_where_decoders_expect_it(tmp_path: Path) -> None:
    """Half a pixel to the right, where libswscale puts it, the error would be 3.4."""
    path = tmp_path / "a.mp4"
    write(path, film_format_of((64, 48)), Encoding(quality=1), count=3)
    pictures = [f.pixels.astype(int) for f in read_frames(open_clip(path), Damage())]
    errors = np.array([a - b for a, b in zip(pictures, moving(3), strict=True)])
    assert np.abs(errors).mean() < 1.2


def test_odd_sizes_lose_a_row_or_column(tmp_path: Path) -> None:
    clip = open_clip(
        make_clip(
            tmp_path / "a.mkv", moving(2, (65, 49)), codec="ffv1", pixel_format="bgr0", options={}, sound=None
        )
    )
    film_format = FilmFormat.of(clip, None)
    assert (film_format.width, film_format.height) == (64, 48)
    writer = SegmentWriter(tmp_path / "b.mp4", film_format, Encoding(quality=1))
    for frame in read_frames(clip, Damage()):
        assert frame.pixels.shape == (49, 65, 3)
        writer.add(frame.pixels, frame.pts, frame.duration)
    writer.close()
    (_, pixels), _ = decoded(tmp_path / "b.mp4")
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - moving(1, (65, 49))[0][:48, :64]).mean() < 6


@pytest.mark.parametrize(
    ("name", "codec", "quality", "expected"),
    [
        ("a.mp4", None, None, Encoding("h264")),
        ("a.MOV", "hevc", 20, Encoding("hevc", 20)),
        ("a.webm", None, 60, Encoding("vp9", 60)),
        ("a.mkv", "av1", None, Encoding("av1")),
    ],
)
def test_the_encoding_follows_from_extension_codec_and_quality(
    name: str, codec: str | None, quality: int | None, expected: Encoding
) -> None:
    assert choose_encoding(Path(name), codec, quality) == expected


@pytest.mark.parametrize(
    ("name", "codec", "quality", "expected"),
    [
        ("a.avi", None, None, "films cannot be written as '.avi': use one of .mp4"),
        ("a", None, None, "as a name without extension"),
        ("a.webm", "h264", None, "a.webm: .webm cannot hold h264: use vp9 or av1"),
        ("a.mp4", "divx", None, "codec 'divx' is unknown: use one of h264, hevc, vp9, av1"),
        ("a.mp4", None, 60, "quality is 60: use 1 (best, largest) to 51 for h264"),
        ("a.mp4", None, 0, "quality is 0"),
    ],
)
def test_impossible_encodings_are_refused(
    name: str, codec: str | None, quality: int | None, expected: str
) -> None:
    with pytest.raises(MetastyleError) as caught:
        choose_encoding(Path(name), codec, quality)
    assert expected in str(caught.value)


def test_a_missing_encoder_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dataclasses.replace(CODECS["h264"], encoder="libnone")
    monkeypatch.setattr("metastyle.films.encode.CODECS", {**CODECS, "h264": missing})
    with pytest.raises(MetastyleError, match="this FFmpeg cannot encode h264: it lacks libnone"):
        choose_encoding(Path("a.mp4"), None, None)


def test_a_size_that_the_encoder_refuses_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MetastyleError, match=r"frames of 20000x20 cannot be encoded as h264"):
        write(tmp_path / "a.mp4", film_format_of((20000, 20)), Encoding(), count=1)


def test_segments_are_reproducible_and_begin_with_a_key_frame(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.mp4", film_format_of((64, 48)), Encoding(), count=30)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert packets[0].is_keyframe
