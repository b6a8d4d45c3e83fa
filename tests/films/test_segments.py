from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from metastyle.errors import MetastyleError
from metastyle.films.encode import Segment
from metastyle.films.segments import Segments, fingerprint

SEGMENT = Segment(frames=2, first=0, last=10, end=20, delay=1)


def segments_of(folder: Path, **identity: object) -> Segments:
    return Segments(folder / "film.parts", {"style": "a"} | identity)


def add(segments: Segments, state: bytes = b"") -> None:
    segments.begin()
    segments.current.write_bytes(b"x" * (len(segments.finished) + 1))
    segments.add(SEGMENT, checksum=5, undecodable=0, misplaced=1, state=state)


def test_finished_segments_are_found_again(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    assert not segments.folder.exists()
    add(segments, b"one")
    add(segments, b"two")
    again = segments_of(tmp_path)
    assert again.finished == segments.finished and len(again.all()) == 2
    assert again.state() == b"two"
    assert again.finished[0].segment == SEGMENT and again.finished[0].misplaced == 1
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_kept_values_do_not_change(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    assert segments.keep("memory", 5) == 5
    add(segments)
    assert segments.keep("later", 1) == 1
    again = segments_of(tmp_path)
    assert (again.keep("memory", 7), again.keep("later", 2)) == (5, 1)


def test_a_truncated_line_is_ignored(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    for state in (b"1", b"2", b"3"):
        add(segments, state)
    log = segments.folder / "parts.jsonl"
    log.write_bytes(log.read_bytes()[:-9])
    again = segments_of(tmp_path)
    assert len(again.finished) == 2 and again.state() == b"2"
    add(again)
    assert len(segments_of(tmp_path).finished) == 3


def test_segments_from_a_truncated_file_on_are_discarded(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    for _ in range(3):
        add(segments)
    segments.path(1).write_bytes(b"")
    assert len(segments_of(tmp_path).finished) == 1


def test_other_folders_are_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "film.parts"
    folder.mkdir()
    (folder / "diary.txt").touch()
    with pytest.raises(MetastyleError, match=r"film.parts exists and is not a folder of unfinished work"):
        segments_of(tmp_path)
    for damaged in ("{", "[" * 100_000, "\x00"):
        (folder / "job.json").write_text(damaged)
        with pytest.raises(MetastyleError, match=r"job.json is damaged"):
            segments_of(tmp_path)
    (folder / "job.json").write_text('{"identity": {"%s": 1}, "kept": {}}' % ("\\n" * 5_000))
    with pytest.raises(MetastyleError, match=r"with another .{0,300} \(it was") as caught:
        segments_of(tmp_path)
    assert str(caught.value).isprintable()
    (folder / "job.json").write_text("[1]")
    with pytest.raises(MetastyleError, match=r"is not a job of this program"):
        segments_of(tmp_path)
    assert (folder / "diary.txt").exists()


def test_a_job_with_more_settings_is_another(tmp_path: Path) -> None:
    segments_of(tmp_path, quality=None).begin()
    with pytest.raises(MetastyleError, match=r"another quality"):
        segments_of(tmp_path)


def test_a_job_with_another_identity_is_refused(tmp_path: Path) -> None:
    add(segments_of(tmp_path, quality=18))
    with pytest.raises(MetastyleError, match=r"another quality \(it was 18, now it is 20\)"):
        segments_of(tmp_path, quality=20)
    fresh = Segments(tmp_path / "film.parts", {"style": "b"}, fresh=True)
    assert fresh.finished == [] and not fresh.folder.exists()


def test_fingerprints_depend_on_content_and_length(tmp_path: Path) -> None:
    path = tmp_path / "film"
    prints = set()
    for content in (b"", b"a", b"b", bytes(10**6), bytes(10**6 - 1), bytes(500_000) + b"\1" * 20_000):
        path.write_bytes(content)
        prints.add(fingerprint(path))
        assert fingerprint(path) in prints
    assert len(prints) == 6


@pytest.mark.parametrize("change", ["replace", "unlink"])
def test_a_process_killed_at_any_change_of_the_folder_leaves_what_can_be_resumed(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file was the last to be renamed or removed, the folder is known as the program's own."""
    real, left, listed = getattr(Path, change), 0, Path.iterdir

    def until_killed(path: Path, *given: object, **named: object) -> object:
        nonlocal left
        if path.is_relative_to(tmp_path):
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
        return real(path, *given, **named)

    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        left = number
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(Path, change, until_killed)
            patched.setattr(Path, "iterdir", lambda path: sorted(listed(path), reverse=True))
            patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # it has any order
            segments = segments_of(folder)
            add(segments, b"one")
            add(segments, b"two")
            Segments(segments.folder, {"style": "b"}, fresh=True)
            segments = segments_of(folder)
            add(segments)
            segments.remove()
        assert len(segments_of(folder).all()) in (0, 1, 2)


@pytest.mark.parametrize("name", ["parts.jsonl", "000001.mp4", "000001.state", "000002.mp4", "000002.state"])
def test_segments_are_only_used_up_to_the_first_damaged_byte(name: str, tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    for state in (b"first state", b"second state", b"third state"):
        add(segments, state)
    path = segments.folder / name
    undamaged = path.read_bytes()
    lines = (segments.folder / "parts.jsonl").read_bytes()
    for at in range(len(undamaged)):
        damaged = bytes([undamaged[at] ^ 1])
        path.write_bytes(undamaged[:at] + damaged + undamaged[at + 1 :])
        again = segments_of(tmp_path)
        assert again.finished == segments.finished[: len(again.finished)]
        if again.finished and name != "000001.state":
            assert len(again.finished) < 3
            assert again.state() == (b"", b"first state", b"second state")[len(again.finished)]
        path.write_bytes(undamaged)
        (segments.folder / "parts.jsonl").write_bytes(lines)


def test_segments_of_earlier_versions_are_used(tmp_path: Path) -> None:
    segments = segments_of(tmp_path)
    add(segments, b"state")
    log = segments.folder / "parts.jsonl"
    entry = json.loads(log.read_bytes())
    del entry["seal"], entry["state_checksum"]
    log.write_text(json.dumps(entry) + "\n")
    again = segments_of(tmp_path)
    assert len(again.finished) == 1 and again.state() == b"state"
