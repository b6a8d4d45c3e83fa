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
from clips import STEP, make_clip, moving, seconds_shown, shown, sound_packets

from metastyle.errors import MetastyleError
from metastyle.films.clip import Clip, open_clip
from metastyle.films.decode import Damage
from metastyle.films.encode import FilmFormat, SegmentWriter, choose_encoding
from metastyle.films.frames import read_frames
from metastyle.films.mux import SegmentFile, holds_sound_of, join

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
def test_pictures_times_sound_and_tags(kind: str, film: Film, tmp_path: Path) -> None:
    tags = {"title": "Sea", "artist": "Nobody"}
    path = make_clip(tmp_path / "a.mp4", moving(30), metadata=tags)
    out = tmp_path / f"out.{kind}"
    assert film(open_clip(path), out) == []
    expected, found = seconds_shown(path), seconds_shown(out)
    # Matroska counts milliseconds and has no negative times: all is later by what the sound is early.
    late, tick = (Fraction(21, 1000), Fraction(1, 2000)) if kind == "mkv" else (0, 0)
    assert all(abs(b - a - late) <= tick for a, b in zip(expected, found, strict=True))
    before, after = sound_packets(path), sound_packets(out)
    assert [data for _, data in after] == [data for _, data in before]
    assert all(abs(b[0] - a[0] - late) <= 2 * tick for a, b in zip(before, after, strict=True))
    with av.open(str(out)) as container:
        assert tags.items() <= {n.lower(): text for n, text in container.metadata.items()}.items()
    errors = [np.abs(a[1].astype(int) - b[1]).mean() for a, b in zip(shown(path), shown(out), strict=True)]
    assert max(errors) < 1.5


def test_varying_rate_is_exact(film: Film, tmp_path: Path) -> None:
    gaps = np.random.default_rng(5).integers(1, 4000, 40)
    pts = [0, *np.cumsum(gaps).tolist()]
    path = make_clip(tmp_path / "a.mp4", moving(41), pts=pts)
    film(open_clip(path), tmp_path / "out.mp4")
    assert seconds_shown(tmp_path / "out.mp4") == seconds_shown(path)
    with av.open(str(tmp_path / "out.mp4")) as container:
        decoding = [p.dts for p in container.demux(video=0) if p.dts is not None]
    assert decoding == sorted(set(decoding))


def test_a_film_may_begin_late(film: Film, tmp_path: Path) -> None:
    """A transport stream's clock starts anywhere; the film's starts at zero, sound and pictures together."""
    path = make_clip(tmp_path / "a.ts", moving(20), sound="mp2")
    clip = open_clip(path)
    assert clip.origin > 0
    film(clip, tmp_path / "out.mp4")
    found = seconds_shown(tmp_path / "out.mp4")
    expected = [a - clip.origin for a in seconds_shown(path)]
    # MP4 states in milliseconds how much later one stream begins than another.
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= Fraction(1, 2000)
    before, after = sound_packets(path), sound_packets(tmp_path / "out.mp4")
    assert b"".join(d for _, d in after) == b"".join(d for _, d in before)
    assert abs(before[0][0] - clip.origin - after[0][0]) < Fraction(1, 1000)


def test_from_and_to_cut_the_sound_too(film: Film, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", moving(50))
    out = tmp_path / "out.mp4"
    film(open_clip(path), out, begin=10 * STEP, stop=35 * STEP, end=35 * STEP)
    assert seconds_shown(out) == [Fraction(i, 25) for i in range(25)]
    before = {data: at for at, data in sound_packets(path)}
    after = sound_packets(out)
    assert 44 <= len(after) <= 47  # of 1024 samples at 48 kHz, in one second
    assert all(abs(before[data] - at - Fraction(2, 5)) < Fraction(1, 500) for at, data in after)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "hevc"), ("webm", "vp9"), ("mkv", "av1")])
def test_other_codecs(kind: str, codec: str, film: Film, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    path = make_clip(tmp_path / "a.webm", moving(16), codec="libvpx-vp9", options={}, sound="libopus")
    out = tmp_path / f"out.{kind}"
    assert film(open_clip(path), out, codec) == []
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        if codec == "hevc":
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"
    assert len(shown(out)) == 16
    assert [d for _, d in sound_packets(out)] == [d for _, d in sound_packets(path)]


def test_what_a_container_cannot_hold_is_said(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(8)))
    notes = film(clip, tmp_path / "out.webm")
    assert notes == ["stream 1 (sound, aac) is left out: .webm cannot hold it; .mkv can"]
    assert holds_sound_of(clip, ".mp4") and not holds_sound_of(clip, ".webm")
    assert len(shown(tmp_path / "out.webm")) == 8


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


def test_subtitles_and_chapters(film: Film, tmp_path: Path) -> None:
    path = _subtitled(tmp_path / "a.mkv", tmp_path)
    out = tmp_path / "out.mkv"
    assert film(open_clip(path), out) == []
    assert [d for _, d in sound_packets(out, "subtitle")] == [b"Good evening", b"Bye"]
    with av.open(str(out)) as container:
        assert container.streams.subtitles[0].language == "eng"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
    notes = film(open_clip(path), tmp_path / "out.mp4")
    assert notes == ["stream 2 (the subtitles, srt) is left out: .mp4 cannot hold it; .mkv can"]
    film(open_clip(path), cut := tmp_path / "cut.mkv", begin=600)
    with av.open(str(cut)) as container:
        assert [(c["metadata"]["title"], c["start"]) for c in container.chapters()] == [("Two", 0)]
    assert [d for _, d in sound_packets(cut, "subtitle")] == [b"Bye"]


def test_damaged_sound_is_left_out_packet_by_packet(film: Film, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", moving(20))
    with av.open(str(path)) as container:
        heads = [bytes(p)[:7] for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    at = data.index(heads[5])
    data[at : at + 2] = b"\0\0"  # no AAC frame begins like that
    path.write_bytes(data)
    notes = film(open_clip(path), tmp_path / "out.mp4")
    assert len(shown(tmp_path / "out.mp4")) == 20
    found = len(sound_packets(tmp_path / "out.mp4"))
    assert 0 < found < len(heads)
    assert notes == [] or "damaged packets of sound" in notes[0]


def test_the_first_segments_film_is_there_or_not_at_all(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(8)))
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(MetastyleError, match=r"out.mp4 already exists"):
        film(clip, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_leaves_nothing_behind(film: Film, tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", moving(70)))
    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        files_of_at_most(60_000),
        pytest.raises(MetastyleError, match=r"out.mp4 cannot be written: File too"),
    ):
        film(clip, folder / "out.mp4")
    assert list(folder.iterdir()) == []
