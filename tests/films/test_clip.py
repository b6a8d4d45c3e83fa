from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import STEP, TIME_BASE, Pixels, make_clip, moving, turn
from PIL import Image

from metastyle.errors import MetastyleError
from metastyle.films.clip import Clip, Upright, open_clip
from metastyle.films.decode import Damage
from metastyle.films.frames import frame_at, read_frames


def frames_of(clip: Clip, **options: Any) -> list[Pixels]:
    return [frame.pixels for frame in read_frames(clip, Damage(), **options)]


def flat(color: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Pixels:
    return np.full((size[1], size[0], 3), color, np.uint8)


def test_the_properties_of_a_clip(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", pixel_aspect=Fraction(4, 3)))
    assert (clip.width, clip.height, clip.rate, clip.time_base) == (64, 48, 25, TIME_BASE)
    assert (clip.codec, clip.pixel_format, clip.seconds, clip.hdr) == ("h264", "yuv420p", 0.8, None)
    assert clip.pixel_aspect == Fraction(4, 3) and clip.upright == Upright()


def test_frames_are_exact_and_have_their_times(tmp_path: Path) -> None:
    pictures = moving(20)
    clip = open_clip(make_clip(tmp_path / "a.mkv", pictures, codec="ffv1", pixel_format="bgr0", options={}))
    frames = list(read_frames(clip, damage := Damage()))
    assert [clip.seconds_at(f.pts) - clip.seconds_at(frames[0].pts) for f in frames] == pytest.approx(
        [0.04 * i for i in range(20)], abs=1e-3
    )
    assert all(np.array_equal(f.pixels, p) for f, p in zip(frames, pictures, strict=True))
    assert damage == Damage(packets=20) and damage.sentence(clip.path) is None


def test_a_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    pts = [0, 100, 1000, 1001, 5000, 50000]
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(6), pts=pts))
    frames = list(read_frames(clip, Damage()))
    assert [f.pts for f in frames] == pts
    assert all(f.duration > 0 for f in frames)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
    ],
)
def test_frames_are_turned_by_the_display_matrix(matrix: Any, expected: Any, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", moving(2), pixel_aspect=Fraction(4, 3))
    stored = frames_of(open_clip(path))
    clip = open_clip(turn(path, matrix))
    upright = frames_of(clip)
    assert all(np.array_equal(u, expected(v)) for u, v in zip(upright, stored, strict=True))
    assert (clip.height, clip.width) == upright[0].shape[:2]
    assert clip.pixel_aspect == (Fraction(3, 4) if matrix[0] == 0 else Fraction(4, 3))
    assert upright[0].flags.c_contiguous


def _expected_rgb(y: int, u: int, v: int, kr: float, kb: float, *, full: bool) -> Any:
    """The inverse of ITU-T H.273, equations 1 to 60."""
    light = y / 255 if full else (y - 16) / 219
    blue, red = ((u - 128) / 255, (v - 128) / 255) if full else ((u - 128) / 224, (v - 128) / 224)
    r, b = light + 2 * (1 - kr) * red, light + 2 * (1 - kb) * blue
    return np.clip(255 * np.array([r, (light - kr * r - kb * b) / (1 - kr - kb), b]), 0, 255)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593), (2, 0.299, 0.114)]
)
@pytest.mark.parametrize("bits", [8, 10])
def test_colors_match_their_definition(
    matrix: int, kr: float, kb: float, full: bool, bits: int, tmp_path: Path
) -> None:
    y, u, v = 120, 90, 170
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        frame = av.VideoFrame(64, 48, stream.pix_fmt)
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            dtype, factor = (np.uint8, 1) if bits == 8 else (np.uint16, 4)
            count = plane.buffer_size // np.dtype(dtype).itemsize
            plane.update(np.full(count, value * factor, dtype).tobytes())
        frame.pts = 0
        frame.color_range = 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert clip.colors.full_range == full
    (pixels,) = frames_of(clip)
    assert np.abs(pixels - _expected_rgb(y, u, v, kr, kb, full=full)).max() < 1


def test_the_matrix_of_unmarked_colors_follows_from_the_size(tmp_path: Path) -> None:
    small = open_clip(make_clip(tmp_path / "s.mp4", [flat((90, 60, 30))], sound=None))
    large = open_clip(make_clip(tmp_path / "l.mp4", [flat((90, 60, 30), (96, 720))], sound=None))
    assert (small.colors.matrix, large.colors.matrix) == (6, 1)


@pytest.mark.slow
def test_hdr_white_becomes_white(tmp_path: Path) -> None:
    """ITU-R BT.2408 puts reference white at 75 % of HLG; it should become the standard range's white."""
    transfer, white = 18, 721
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for name_, value in (("colorspace", 9), ("color_range", 1), ("color_primaries", 9)):
            setattr(stream.codec_context, name_, value)
        stream.codec_context.color_trc = transfer
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        for plane, value in zip(frame.planes, (white, 512, 512), strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
        frame.pts, frame.color_trc, frame.color_primaries, frame.color_range = 0, transfer, 9, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert clip.hdr == "HLG"
    assert (clip.colors.matrix, clip.colors.transfer, clip.colors.full_range) == (1, 1, False)
    (pixels,) = frames_of(clip)
    assert pixels.min() > 240


def test_only_frames_between_begin_and_end_are_read(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(50), options={"g": "10", "crf": "12"}))
    whole = frames_of(clip)
    for seek in (True, False):
        for begin, end in ((0, 50), (7, 9), (10, 31), (33, 50), (49, 50)):
            found = list(
                read_frames(
                    clip, Damage(), begin=begin * STEP, end=end * STEP if end < 50 else None, seek=seek
                )
            )
            assert [f.pts for f in found] == [STEP * i for i in range(begin, end)]
            assert all(np.array_equal(f.pixels, w) for f, w in zip(found, whole[begin:end], strict=True))


def test_frame_at_returns_the_frame_shown_at_that_time(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(50), options={"g": "10", "crf": "12"}))
    whole = frames_of(clip)
    for seconds, number in ((0, 0), (0.039, 0), (0.04, 1), (1.0, 25), (1.99, 49)):
        assert np.array_equal(frame_at(clip, seconds).pixels, whole[number])
    with pytest.raises(MetastyleError, match=r"a.mp4 has no frame at 9 s: it is 2.0 s long"):
        frame_at(clip, 9)


def test_scaling_keeps_proportions_and_even_sides(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(2, (120, 68)), sound=None))
    assert clip.scaled(None) == (120, 68) and clip.scaled(61) == (60, 34) and clip.scaled(240) == (240, 136)
    (small, _) = frames_of(clip, long_edge=60)
    assert small.shape == (34, 60, 3)
    expected = np.asarray(Image.fromarray(frames_of(clip)[0]).resize((60, 34), Image.Resampling.BICUBIC))
    assert np.abs(small.astype(int) - expected).mean() < 1.5
    turned = open_clip(turn(clip.path, (0, 1, -1, 0)))
    assert frames_of(turned, long_edge=60)[0].shape == (60, 34, 3)


def test_frames_whose_time_stamps_go_back_are_skipped_and_counted(tmp_path: Path) -> None:
    """With two recordings in one file, time starts again at the second, whose frames cannot be placed."""
    path = make_clip(tmp_path / "a.ts", moving(6), sound=None)
    path.write_bytes(path.read_bytes() * 2)
    frames = list(read_frames(clip := open_clip(path), damage := Damage()))
    assert [f.pts - frames[0].pts for f in frames] == [3600 * i for i in range(6)]
    assert damage.misplaced == 6
    assert "6 frames have impossible time stamps" in (damage.sentence(clip.path) or "")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "avif", "bmp", "tif"])
def test_a_picture_is_refused_as_a_film(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{kind}"
    Image.fromarray(moving(1)[0]).save(path)
    with pytest.raises(MetastyleError, match="is a picture: use 'metastyle stylize'"):
        open_clip(path)


def test_an_animation_is_read_as_a_film(tmp_path: Path) -> None:
    pictures = [Image.fromarray(p) for p in moving(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=80)
    assert len(frames_of(open_clip(tmp_path / "a.gif"))) == 5


def test_unreadable_films_are_refused_in_one_line(tmp_path: Path) -> None:
    def error(path: Path) -> str:
        with pytest.raises(MetastyleError) as caught:
            open_clip(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
        return str(caught.value)

    assert "No such file" in error(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    assert error(tmp_path / "empty.mp4").endswith("is empty")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "it is none, or damaged, or truncated" in error(tmp_path / "noise.mp4")
    (tmp_path / "text.mkv").write_text("no film at all\n" * 50)
    assert "cannot be read as a film" in error(tmp_path / "text.mkv")
    whole = make_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in error(tmp_path / "cut.mp4")
    with av.open(str(tmp_path / "song.m4a"), "w") as container:
        sound: Any = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert error(tmp_path / "song.m4a").endswith("has no video: it holds audio")


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", sound=None)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    with pytest.raises(MetastyleError, match=r"codec is unknown|no frame can be decoded|has no video"):
        open_clip(path)


def test_a_playlist_cannot_open_a_url(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MetastyleError, match=r"list.m3u8"):
        open_clip(path)


def test_a_long_last_frame_is_not_reported_as_damage(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", moving(6), pts=[0, 512, 1024, 1536, 2048, 300_000], sound=None)
    list(read_frames(clip := open_clip(path), damage := Damage()))
    assert damage.sentence(clip.path) is None
