from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import STEP, decoded, frame_times, make_clip, moving, packets

from metastyle.errors import MetastyleError
from metastyle.films.clip import Clip, open_clip
from metastyle.films.decode import Damage
from metastyle.films.encode import FilmFormat, SegmentWriter, choose_encoding
from metastyle.films.frames import read_frames
from metastyle.films.mux import SegmentFile, join
from metastyle.films.sound import holds_sound_of

Film = Callable[..., list[str]]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Copies a clip's pictures in segments of seven frames and joins them."""

    def make(clip: Clip, output: Path, codec: str | None = None, **options: Any) -> list[str]:
        encoding = choose_encoding(output, codec, 5)
        frames = list(read_frames(clip, Damage(), begin=options.get("begin"), end=options.pop("stop", None)))
        segments = []
        for number, start in enumerate(range(0, len(frames), 7)):
            path = tmp_path / f"part{number}.mp4"
            writer = SegmentWriter(path, FilmFormat.of(clip, None), encoding)
            for frame in frames[start : start + 7]:
                writer.add(frame.pixels, frame.pts, frame.duration)
            segments.append(SegmentFile(path, writer.close()))
        return join(segments, clip, output, encoding, overwrite=False, **options)

    return make


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_pictures_times_sound_and_tags_are_kept(kind: str, film: Film, tmp_path: Path) -> None:
    tags = {"title": "Sea", "artist": "Nobody"}
    path = make_clip(tmp_path / "a.mp4", moving(30), metadata=tags)
    out = tmp_path / f"out.{kind}"
    assert film(open_clip(path), out) == []
    expected, found = frame_times(path), frame_times(out)
    # Matroska counts milliseconds and has no negative times: everything is delayed by the early sound.
    late, tick = (Fraction(21, 1000), Fraction(1, 2000)) if kind == "mkv" else (0, 0)
    assert all(abs(b - a - late) <= tick for a, b in zip(expected, found, strict=True))
    before, after = packets(path), packets(out)
    assert [data for _, data in after] == [data for _, data in before]
    assert all(abs(b[0] - a[0] - late) <= 2 * tick for a, b in zip(before, after, strict=True))
    with av.open(str(out)) as container:
        assert tags.items() <= {n.lower(): text for n, text in container.metadata.items()}.items()
    pairs = zip(decoded(path), decoded(out), strict=True)
    errors = [np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in pairs]
    assert max(errors) < 1.5


def test_a_variable_frame_rate_is_exact(film: Film, tmp_path: Path) -> None:
    gaps = np.random.default_rng(5).integers(1, 4000, 40)
    pts = [0, *np.cumsum(gaps).tolist()]
    path = make_clip(tmp_path / "a.mp4", moving(41), pts=pts)
    film(open_clip(path), tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == frame_times(path)
    with av.open(str(tmp_path / "out.mp4")) as container:
        decoding = [p.dts for p in container.demux(video=0) if p.dts is not None]
    assert decoding == sorted(set(decoding))


def test_the_film_starts_at_zero_even_if_the_clip_does_not(film: Film, tmp_path: Path) -> None:
    """A transport stream starts at any time; the film starts at zero, with sound and pictures in step."""
    path = make_clip(tmp_path / "a.ts", moving(20), sound="mp2")
    clip = open_clip(path)
    assert clip.origin > 0
    film(clip, tmp_path / "out.mp4")
    found = frame_times(tmp_path / "out.mp4")
    expected = [a - clip.origin for a in frame_times(path)]
    # MP4 stores the delay between streams in milliseconds.
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= Fraction(1, 2000)
    before, after = packets(path), packets(tmp_path / "out.mp4")
    assert b"".join(d for _, d in after) == b"".join(d for _, d in before)
    assert abs(before[0][0] - clip.origin - after[0][0]) < Fraction(1, 1000)


def test_the_sound_is_cut_to_the_same_range(film: Film, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", moving(50))
    out = tmp_path / "out.mp4"
    film(open_clip(path), out, begin=10 * STEP, stop=35 * STEP, end=35 * STEP)
    assert frame_times(out) == [Fraction(i, 25) for i in range(25)]
    before = {data: at for at, data in packets(path)}
    after = packets(out)
    assert 44 <= len(after) <= 47  # of 1024 samples at 48 kHz, in one second
    assert all(abs(before[data] - at - Fraction(2, 5)) < Fraction(1, 500) for at, data in after)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "hevc"), ("webm", "vp9"), ("mkv", "av1")])
def test_all_codecs_can_be_joined(
    kind: str, codec: str, film: Film, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    path = make_clip(tmp_path / "a.webm", moving(16), codec="libvpx-vp9", options={}, sound="libopus")
    out = tmp_path / f"out.{kind}"
    assert film(open_clip(path), out, codec) == []
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        if codec == "hevc":
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"
    assert len(decoded(out)) == 16
    assert [d for _, d in packets(out)] == [d for _, d in packets(path)]


def test_streams_that_the_container_cannot_hold_are_reported(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(8)))
    notes = film(clip, tmp_path / "out.webm")
    assert notes == ["stream 1 (sound, aac) is left out: .webm cannot hold it; .mkv can"]
    assert holds_sound_of(clip, ".mp4") and not holds_sound_of(clip, ".webm")
    assert len(decoded(tmp_path / "out.webm")) == 8


def _subtitled(path: Path, tmp_path: Path) -> Path:
    """A film in Matroska with SubRip subtitles and two chapters."""
    plain = make_clip(tmp_path / "plain.mkv", moving(25))
    text = tmp_path / "words.srt"
    text.write_text(
        "1\n00:00:00,100 --> 00:00:00,400\nGood evening\n\n2\n00:00:00,600 --> 00:00:00,900\nBye\n"
    )
    with av.open(str(plain)) as a, av.open(str(text)) as b, av.open(str(path), "w") as out:
        streams = {s: out.add_stream_from_template(s, opaque=True) for s in (*a.streams, *b.streams)}
        streams[b.streams[0]].metadata["language"] = "eng"
        second = Fraction(1, 1000)
        out.set_chapters(
            [
                {"id": 1, "start": 0, "end": 500, "time_base": second, "metadata": {"title": "One"}},
                {"id": 2, "start": 500, "end": 1000, "time_base": second, "metadata": {"title": "Two"}},
            ]
        )
        for source in (a, b):
            for packet in source.demux():
                if packet.size:
                    packet.stream = streams[packet.stream]
                    out.mux(packet)
    return path


def test_subtitles_and_chapters_are_copied_and_cut(film: Film, tmp_path: Path) -> None:
    path = _subtitled(tmp_path / "a.mkv", tmp_path)
    out = tmp_path / "out.mkv"
    assert film(open_clip(path), out) == []
    assert [d for _, d in packets(out, "subtitle")] == [b"Good evening", b"Bye"]
    with av.open(str(out)) as container:
        assert container.streams.subtitles[0].language == "eng"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
    notes = film(open_clip(path), tmp_path / "out.mp4")
    assert notes == ["stream 2 (the subtitles, srt) is left out: .mp4 cannot hold it; .mkv can"]
    film(open_clip(path), cut := tmp_path / "cut.mkv", begin=600)
    with av.open(str(cut)) as container:
        assert [(c["metadata"]["title"], c["start"]) for c in container.chapters()] == [("Two", 0)]
    assert [d for _, d in packets(cut, "subtitle")] == [b"Bye"]


def test_only_damaged_packets_of_sound_are_left_out(film: Film, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", moving(20))
    with av.open(str(path)) as container:
        heads = [bytes(p)[:7] for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    at = data.index(heads[5])
    data[at : at + 2] = b"\0\0"  # not the beginning of an AAC frame
    path.write_bytes(data)
    notes = film(open_clip(path), tmp_path / "out.mp4")
    assert len(decoded(tmp_path / "out.mp4")) == 20
    found = len(packets(tmp_path / "out.mp4"))
    assert 0 < found < len(heads)
    assert notes == [] or "damaged packets of sound" in notes[0]


def test_joining_does_not_replace_an_existing_file(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(8)))
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(MetastyleError, match=r"out.mp4 already exists"):
        film(clip, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing more than ``size`` bytes to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_partial_film(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(70)))
    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        files_of_at_most(60_000),
        pytest.raises(MetastyleError, match=r"out.mp4 cannot be written: File too"),
    ):
        film(clip, folder / "out.mp4")
    assert list(folder.iterdir()) == []


def make_tagged(path: Path, tags: dict[str, str], rate: int = 25) -> Path:
    """A clip whose pictures have these tags."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=Fraction(rate))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.metadata.update(tags)
        for pixels in moving(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode(None))
    return path


def tags_of(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name.lower(): text for name, text in container.streams.video[0].metadata.items()}


@pytest.mark.parametrize("source", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
def test_a_time_code_is_kept_unless_the_film_begins_later(
    source: str, kind: str, film: Film, tmp_path: Path
) -> None:
    path = make_tagged(tmp_path / f"a.{source}", {"timecode": "01:02:03:04"})
    assert film(open_clip(path), tmp_path / f"out.{kind}") == []
    assert tags_of(tmp_path / f"out.{kind}")["timecode"] == "01:02:03:04"
    later = open_clip(path).ticks(0.2)
    (note,) = film(open_clip(path), tmp_path / f"cut.{kind}", begin=later)
    assert "timecode=01:02:03:04 is left out" in note.lower()
    assert "timecode" not in tags_of(tmp_path / f"cut.{kind}")


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_a_tag_that_the_container_refuses_is_left_out(kind: str, film: Film, tmp_path: Path) -> None:
    tags = {"timecode": "01:02:03:04", "handler_name": "Sea"}
    path = make_tagged(tmp_path / "a.mkv", tags, rate=480)  # time codes count at most 255 frames a second
    (note,) = film(open_clip(path), tmp_path / f"out.{kind}")
    assert "timecode=01:02:03:04 is left out" in note.lower()
    assert tags_of(tmp_path / f"out.{kind}")["handler_name"] == "Sea"
    assert len(frame_times(tmp_path / f"out.{kind}")) == 10


def test_the_tags_of_an_alpha_channel_are_dropped(film: Film, tmp_path: Path) -> None:
    path = make_tagged(tmp_path / "a.mkv", {"alpha_mode": "1"})
    film(open_clip(path), tmp_path / "out.webm")
    assert "alpha_mode" not in tags_of(tmp_path / "out.webm")
