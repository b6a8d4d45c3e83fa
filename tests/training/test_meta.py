"""Small runs: their files, how they stop, and exact resumption."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from surroundings import SURROUNDINGS, state

from metastyle.errors import MetastyleError
from metastyle.training.checkpoint import load_state
from metastyle.training.config import TrainingConfig
from metastyle.training.events import Finished, Iterated, Sampled, Saved, Started, TrainingEvent, Validated
from metastyle.training.meta import train
from metastyle.weights.initialization import SHIPPED, load_initialization

Configure = Callable[..., TrainingConfig]
StartProcess = Callable[..., BaseProcess]

RECONSTRUCTING = {"objective__reconstruct": 0.3, "objective__style_ramp": 0.5, "objective__predictor": True}
BILEVEL = {"objective__inner_steps": 1, "objective__learn_step_sizes": True}


def run(config: TrainingConfig, vgg: Any, stop_at: int | None = None) -> list[TrainingEvent]:
    """All events of a run; at iteration ``stop_at`` the process sends itself a SIGTERM."""
    events = []
    for event in train(config, loss_network=vgg):
        events.append(event)
        if isinstance(event, Iterated) and event.iteration == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
    if stop_at is None:
        # A signal from outside would also end the run early, and its weights would differ.
        assert isinstance(events[-1], Finished) and events[-1].reason == "done"
    return events


def tensors(config: TrainingConfig) -> dict[str, torch.Tensor]:
    return load_state(Path(config.run.output) / "state.safetensors")[0]


def lines(config: TrainingConfig, kind: str = "training") -> list[dict[str, Any]]:
    text = (Path(config.run.output) / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def assert_same_run(one: TrainingConfig, other: TrainingConfig) -> None:
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    differing = [name for name in a if not torch.equal(a[name], b[name])]
    different = {name: (a[name] - b[name]).abs().max().item() for name in differing}
    assert not different
    keys = ("iteration", "total", "content", "style", "gradient_norm", "learning_rate")
    assert [[x[k] for k in keys] for x in lines(one)] == [[x[k] for k in keys] for x in lines(other)]


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_runs_do_not_depend_on_global_settings(
    surroundings: str, config: Configure, vgg: Any, tmp_path: Path
) -> None:
    undisturbed = config(run__iterations=2, run__output=str(tmp_path / "undisturbed"), **BILEVEL)
    run(undisturbed, vgg)
    with SURROUNDINGS[surroundings]():
        before = state()
        disturbed = config(run__iterations=2, **BILEVEL)
        run(disturbed, vgg)
        assert state() == before
    assert_same_run(disturbed, undisturbed)


def test_a_second_run_in_the_same_folder_is_refused(config: Configure, vgg: Any) -> None:
    first = train(config(run__iterations=3), loss_network=vgg)
    while not isinstance(next(first), Iterated):
        pass
    with pytest.raises(MetastyleError, match="another run is training there"):
        run(config(run__iterations=3), vgg)
    first.close()
    run(config(run__iterations=3), vgg)


def test_an_unwritable_cache_is_only_a_warning(
    config: Configure, vgg: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    settings = {"run__iterations": 2, "data__photo_cache": 40, "objective__predictor": True}
    cached = config(run__output=str(tmp_path / "cached"), **settings)
    uncached = config(data__cache=str(tmp_path / "file"), **settings)
    run(cached, vgg)
    assert not caplog.messages
    run(uncached, vgg)
    assert_same_run(cached, uncached)
    assert len(caplog.messages) == 2  # one for paintings, one for photographs
    assert all("will not be cached" in line for line in caplog.messages)


def test_a_damaged_cache_is_rebuilt(config: Configure, vgg: Any, tmp_path: Path) -> None:
    settings = {"run__iterations": 2, "data__photo_cache": 40}
    first = config(run__output=str(tmp_path / "first"), **settings)
    run(first, vgg)
    for cached in (tmp_path / "cache").rglob("*.*"):
        cached.write_bytes(cached.read_bytes()[:50])
    second = config(**settings)
    events = run(second, vgg)
    assert_same_run(first, second)
    assert all(event.broken == 0 for event in events if isinstance(event, Iterated))


def test_a_run_reports_events_and_writes_its_files(config: Configure, vgg: Any) -> None:
    made = config(run__iterations=3, data__workers=1)
    events = run(made, vgg)
    started = next(e for e in events if isinstance(e, Started))
    assert (started.iteration, started.contents, started.styles, started.processes) == (0, 10, 7, 1)
    steps = [e for e in events if isinstance(e, Iterated)]
    assert [s.iteration for s in steps] == [1, 2, 3]
    assert all(s.losses.keys() == {"content", "style"} and s.total > 0 < s.gradient_norm for s in steps)
    assert steps[-1].progress == 1 and steps[-1].seconds_left == 0
    validated = [e for e in events if isinstance(e, Validated)]
    assert [v.iteration for v in validated] == [0, 3]
    assert len(validated[0].totals) == 2
    last = events[-1]
    assert isinstance(last, Finished) and last.reason == "done"

    output = Path(made.run.output)
    initialization, _ = load_initialization(last.weights)
    average = {k.removeprefix("average."): t for k, t in tensors(made).items() if k.startswith("average.")}
    for name, t in initialization.state_dict().items():
        torch.testing.assert_close(t, average[name], rtol=1e-3, atol=1e-5)
    assert [x["iteration"] for x in lines(made)] == [1, 2, 3]
    assert [x["iteration"] for x in lines(made, "validation")] == [0, 3]
    assert json.loads((output / "config.json").read_text())["optimizer"]["styles"] == 2
    assert all(e.path.read_bytes().startswith(b"\x89PNG") for e in events if isinstance(e, Sampled))
    assert [path.name for path in output.glob(".*")] == [
        ".claim"
    ]  # no longer claimed, see tests/test_locks.py
    (left,) = (output.parent / "cache").iterdir()
    assert left.name.startswith("styles-")

    again = run(made, vgg)  # the run is complete
    assert not any(isinstance(e, Iterated) for e in again)


@pytest.mark.parametrize(
    "changes",
    [{}, RECONSTRUCTING, {"optimizer__kind": "muon"}, pytest.param(BILEVEL, marks=pytest.mark.slow)],
    ids=["plain", "reconstructing", "muon", "bilevel"],
)
def test_a_stopped_and_resumed_run_gives_the_same_bits(
    config: Configure, vgg: Any, tmp_path: Path, changes: Any
) -> None:
    straight = config(**changes, run__output=str(tmp_path / "straight"))
    run(straight, vgg)
    stopped = config(**changes, run__output=str(tmp_path / "stopped"))
    before = signal.getsignal(signal.SIGTERM)
    events = run(stopped, vgg, stop_at=3)
    assert signal.getsignal(signal.SIGTERM) == before
    last = events[-1]
    assert isinstance(last, Finished) and (last.reason, last.iteration) == ("stopped", 3)
    events = run(config(**changes, run__output=str(tmp_path / "stopped"), data__workers=1), vgg)
    assert next(e for e in events if isinstance(e, Started)).iteration == 3
    assert_same_run(straight, stopped)


def test_a_cold_cache_gives_the_same_bits_as_a_warm_one(config: Configure, vgg: Any, tmp_path: Path) -> None:
    cold, warm = config(run__iterations=2), config(run__iterations=2, run__output=str(tmp_path / "warm"))
    run(cold, vgg)
    run(warm, vgg)
    assert_same_run(cold, warm)


@pytest.mark.slow
def test_a_run_killed_while_saving_resumes_to_the_same_bits(
    overrides: dict[str, object], config: Configure, vgg: Any, tmp_path: Path, start_process: StartProcess
) -> None:
    small = {"objective.predictor": False, "optimizer.ema_decay": 0.0, "run.iterations": 6}
    straight = config(**{name.replace(".", "__"): value for name, value in small.items()})
    run(straight, vgg)
    changes = {**small, "run.output": str(tmp_path / "killed"), "run.save_minutes": 1e-9}
    killed = config(**{name.replace(".", "__"): value for name, value in changes.items()})
    for kill in (("before", 2), ("after", 2), ("before", 3)):
        process = start_process({**overrides, **changes}, {}, kill)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert len(tensors(killed)) > 0
    run(killed, vgg)
    assert_same_run(straight, killed)
    assert [x["iteration"] for x in lines(killed)] == list(range(1, 7))
    assert not list(Path(killed.run.output).glob(".*.part"))


@pytest.mark.slow
def test_two_processes_give_the_losses_and_gradients_of_one(
    overrides: dict[str, object], config: Configure, vgg: Any, tmp_path: Path, start_process: StartProcess
) -> None:
    changes = {
        "objective.inner_steps": 1,
        "objective.learn_step_sizes": True,
        "optimizer.styles": 4,
        "optimizer.styles_at_once": 1,
        "optimizer.clip": None,
        "run.iterations": 1,
    }
    alone = config(**{name.replace(".", "__"): value for name, value in changes.items()})
    run(alone, vgg)
    output = str(tmp_path / "together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(2):  # the environment of torchrun --nproc-per-node 2
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test",
        }
        processes.append(start_process({**overrides, **changes, "run.output": output}, environment))
    for process in processes:
        process.join(timeout=200)
        assert process.exitcode == 0
    together = config(**{name.replace(".", "__"): v for name, v in changes.items()}, run__output=output)
    one, two = tensors(alone), tensors(together)
    moments = [name for name in one if name.startswith("first.")]  # a tenth of the gradient
    scale = max(one[name].abs().max().item() for name in moments)
    for name in moments:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6 * scale)
    for a, b in zip(lines(alone), lines(together), strict=True):
        for key in ("total", "content", "style", "gradient_norm"):
            assert b[key] == pytest.approx(a[key], rel=1e-5)


def test_styles_must_divide_among_processes(
    config: Configure, vgg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MetastyleError, match=r"optimizer\.styles = 2: use a multiple of the 4 processes"):
        run(config(), vgg)


def test_the_state_of_a_different_run_is_refused(config: Configure, vgg: Any, tmp_path: Path) -> None:
    run(config(run__iterations=1), vgg)
    with pytest.raises(MetastyleError, match=r"this run has optimizer\.learning_rate = 0\.001, not 0\.002"):
        run(config(optimizer__learning_rate=2e-3), vgg)
    moved = tmp_path / "moved"
    shutil.copytree(config().data.contents, moved)
    run(
        config(run__iterations=2, data__contents=str(moved)), vgg
    )  # a longer run on moved pictures is accepted
    (moved / "0.png").unlink()
    with pytest.raises(MetastyleError, match="have changed since this run began"):
        run(config(run__iterations=3, data__contents=str(moved)), vgg)
    state = Path(config().run.output) / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(MetastyleError, match=r"state\.safetensors: truncated"):
        run(config(), vgg)


def test_a_run_may_start_from_given_weights(config: Configure, vgg: Any, tmp_path: Path) -> None:
    run(config(run__iterations=1, objective__predictor=False, optimizer__ema_decay=0.0), vgg)
    given = Path(config().run.output) / "metastyle.safetensors"
    events = run(config(run__iterations=1, run__init=str(given), run__output=str(tmp_path / "next")), vgg)
    first = next(e for e in events if isinstance(e, Validated))
    again = run(
        config(
            run__iterations=1,
            run__init=str(given),
            run__output=str(tmp_path / "other"),
            objective__predictor=False,
        ),
        vgg,
    )
    # A fresh predictor changes nothing, so both start from the same loss.
    assert first.total == pytest.approx(next(e for e in again if isinstance(e, Validated)).total, rel=1e-5)
    with_predictor = tmp_path / "next" / "metastyle.safetensors"
    with pytest.raises(MetastyleError, match=r"has a style predictor: set objective\.predictor = true"):
        run(
            config(
                run__init=str(with_predictor),
                objective__predictor=False,
                run__output=str(tmp_path / "third"),
            ),
            vgg,
        )


def places(weights: Path) -> list[str]:
    """The folders and files named in the settings of an initialization."""
    with safe_open(weights, "pt") as opened:
        made = json.loads(opened.metadata()["settings"])["config"]
    named = [made["data"][name] for name in ("contents", "styles", "cache")]
    return [place for place in [*named, made["run"]["output"], made["run"]["init"]] if place]


def test_weights_do_not_contain_folder_names(config: Configure, vgg: Any, tmp_path: Path) -> None:
    run(config(run__iterations=1, data__cache=str(tmp_path / "targets")), vgg)
    folder = Path(config().run.output)
    assert places(folder / "metastyle.safetensors") == ["contents", "styles", "targets", folder.name]
    assert all(Path(place).name == place for place in places(SHIPPED))


def test_broken_pictures_are_counted_without_stopping_the_run(
    config: Configure, vgg: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "contents"
    shutil.copytree(config().data.contents, folder)
    for picture in sorted(folder.rglob("*.png"))[::3]:
        picture.write_bytes(picture.read_bytes()[:50])
    events = run(config(data__contents=str(folder), run__iterations=8), vgg)
    last = [e for e in events if isinstance(e, Iterated)][-1]
    assert last.iteration == 8 and 1 <= last.broken <= 4


def test_a_run_ends_after_its_minutes_and_saves_regularly(config: Configure, vgg: Any) -> None:
    made = config(run__iterations=None, run__minutes=0.01, run__save_minutes=1e-9)
    events = run(made, vgg)
    assert isinstance(events[-1], Finished) and events[-1].reason == "done"
    assert events[-1].seconds >= 0.6
    steps = sum(isinstance(e, Iterated) for e in events)
    assert sum(isinstance(e, Saved) for e in events) == steps + 2


def test_the_crop_changes_late_in_the_run(config: Configure, vgg: Any) -> None:
    events = run(config(run__iterations=4, data__late_crop=20, data__late_from=0.5), vgg)
    assert [e.crop for e in events if isinstance(e, Iterated)] == [16, 16, 20, 20]


@pytest.mark.slow
def test_training_lowers_the_held_out_loss(config: Configure, vgg: Any) -> None:
    """After thirty steps, the averaged weights are better than the initial ones on held-out pictures."""
    events = run(config(run__iterations=30, run__log_every=30), vgg)
    validated = [e for e in events if isinstance(e, Validated)]
    assert validated[-1].total < 0.7 * validated[0].total
