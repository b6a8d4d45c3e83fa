from __future__ import annotations

import io
import logging
import signal

import pytest
from rich.console import Console

from metastyle.cli import output
from metastyle.cli.output import Display, Speaker, complain, seconds
from metastyle.cli.stop import StopRequest
from metastyle.core.adaptation import AdaptationStep


def _step(number: int, of: int = 4) -> AdaptationStep:
    return AdaptationStep(number, of, 23.4, 3.4, 20.0, 1.0, 12.0, lambda x: x, dict)


def _shown(terminal: bool, quiet: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, color_system=None)
    with Display(quiet, console) as display:
        display.download(5_000_000, 10_000_000, "vgg16")
        for number in (1, 2, 3, 4):
            display.step("waves [b]", _step(number))
        display.share("repainting 4 photographs", 1, 4, "b.jpg")(0.5)
        display.share("repainting 4 photographs", 3, 4, "d.jpg")(1.0)
        display.note("a [note]")
    return stream.getvalue()


def test_a_terminal_shows_progress_bars() -> None:
    shown = _shown(terminal=True)
    assert "fetching vgg16" in shown and "5.0 of 10.0 MB" in shown
    assert "adapting to waves [b]" in shown and "step 4/4  loss 23.4  12 s left" in shown
    assert "repainting 4 photographs" in shown and "d.jpg" in shown and "100%" in shown


def test_a_log_gets_one_line_per_task() -> None:
    assert _shown(terminal=False).splitlines() == [
        "adapting to waves [b]: 100% step 4/4  loss 23.4  12 s left",
        "repainting 4 photographs: 100% d.jpg",
        "a [note]",
    ]


@pytest.mark.parametrize("quiet", [True, False])
def test_warnings_of_the_library_are_shown_once_and_only_inside_the_block(quiet: bool) -> None:
    stream = io.StringIO()
    log = logging.getLogger("metastyle.images.picture")
    with Display(quiet, Console(file=stream, width=100)):
        for name in ("a [b].png", "a [b].png", "c.png"):
            log.warning("%s is HDR", name)
        log.info("not for users")
    log.warning("too late")
    assert stream.getvalue().splitlines() == ([] if quiet else ["a [b].png is HDR", "c.png is HDR"])


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal: bool) -> None:
    assert _shown(terminal, quiet=True) == ""


def test_a_log_gets_a_line_whenever_the_interval_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_EVERY", 0.0)
    shown = _shown(terminal=False).splitlines()
    assert shown[0] == "fetching vgg16: 50% 5.0 of 10.0 MB"
    assert [line.split("  ")[0] for line in shown[1:5]] == [
        f"adapting to waves [b]: {25 * n}% step {n}/4" for n in (1, 2, 3, 4)
    ]


def test_completion_is_logged_once() -> None:
    stream = io.StringIO()
    with Display(console=Console(file=stream)) as display:
        for share in (0.5, 1.0, 1.0, 1.0):
            display.update("painting", share)
        for share in (0.0, 1.0, 1.0):  # another picture
            display.update("painting", share)
    assert stream.getvalue().splitlines() == ["painting: 100%"] * 2


def test_slow_progress_is_not_logged_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_EVERY", 0.0)
    stream = io.StringIO()
    with Display(console=Console(file=stream)) as display:
        for share in (0.071, 0.072, 0.074, 0.08):
            display.update("painting", share, "a.jpg")
    assert stream.getvalue().splitlines() == ["painting: 7% a.jpg", "painting: 8% a.jpg"]


def test_progress_bars_leave_a_redirected_stdout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, written = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    with Display(console=Console(file=shown, force_terminal=True, width=100)) as display:
        display.update("painting", 0.5)
        Speaker().line("a.png")
    assert written.getvalue() == "a.png\n" and "a.png" not in shown.getvalue()


def test_control_characters_in_names_are_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with Display(console=Console(file=stream)) as display:
        display.update("painting", 1.0, "a\x1b[31m\udce9\n.jpg é")
        display.note("\a")
    assert stream.getvalue() == "painting: 100% a\\x1b[31m\\udce9\\n.jpg é\n\\x07\n"
    complain("b\x1b[0m.jpg")
    assert capfd.readouterr().err == "metastyle: b\\x1b[0m.jpg\n"


def test_a_download_of_unknown_size_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_EVERY", 0.0)
    stream = io.StringIO()
    with Display(console=Console(file=stream)) as display:
        display.download(5, 0, "vgg16")
    assert "fetching vgg16: 0%" in stream.getvalue()


def test_the_first_ctrl_c_requests_a_stop_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not stop.asked
        stop.armed = True
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_durations_are_formatted() -> None:
    assert [seconds(s) for s in (0.04, 9.9, 9.96, 59.4, 59.6, 200)] == [
        "0.0 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1 min 0 s",
        "3 min 20 s",
    ]
