"""Small runs: their files, the decrease of the loss, and exact resumption."""

import copy
import dataclasses
import functools
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.errors import MetastyleError
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.encode import save_picture
from metastyle.images.picture import Picture
from metastyle.systems import johnson, shen
from metastyle.systems import train as training
from metastyle.systems.decoders import BEFORE_RELU4_1, copy_published
from metastyle.systems.johnson import TrainedJohnson
from metastyle.systems.objective import Networks
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.style_swap import StyleSwap
from metastyle.systems.train import PARTS, Settings, train
from metastyle.systems.vgg19 import Decoder, Encoder
from metastyle.systems.weights import load_trained, read_settings
from metastyle.training import loop
from metastyle.training.checkpoint import load_state, save_state
from metastyle.training.config import RunConfig
from metastyle.training.events import Finished, Iterated, Preparing, Saved, Started
from metastyle.training.processes import launch


@pytest.fixture
def settings(photos, paintings, tmp_path):
    def make(part="wct-1", **changes):
        given = {"iterations": 4, "crop": 32, "batch": 1, "workers": 0, "device": "cpu"}
        output = str(tmp_path / "run")
        return Settings(part, str(photos), str(paintings), **{"output": output} | given | changes)

    return make


@pytest.fixture
def every_step(monkeypatch):
    """Report every iteration."""
    monkeypatch.setattr(training, "RunConfig", functools.partial(RunConfig, log_every=1))


@pytest.fixture
def networks(encoder, features):
    torch.manual_seed(3)
    return Networks(encoder, features, Decoder(4), Initialization(predictor=StylePredictor()))


def run(settings, networks, stop_at=None):
    events = []
    for event in train(settings, networks):
        if not isinstance(event, Preparing):
            events.append(event)
        if isinstance(event, Iterated) and event.iteration == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
    return events


def test_muon_changes_all_kernels_but_the_last(settings, networks):
    task = training.SystemTask(
        settings("wct-3", optimizer="muon"), launch("cpu", "float32"), torch.float32, networks
    )
    kernels = {name for name, p in task.parameters.items() if p.dim() == 4}
    assert kernels - task.hidden == {"conv1_1.weight"}


def test_level_5_goes_on_from_its_start(settings, networks, tmp_path):
    task = training.SystemTask(
        settings("wct-5-start", optimizer="muon"), launch("cpu", "float32"), torch.float32, networks
    )
    assert task.hidden == {f"{name}.weight" for name in BEFORE_RELU4_1}
    run(settings("wct-5-start", output=str(tmp_path / "start")), networks)
    started = tmp_path / "start" / "wct-5.safetensors"
    published = networks.decoder.state_dict()
    for name, tensor in load_trained(Decoder(5), "wct-5", started.parent).state_dict().items():
        if not name.startswith(BEFORE_RELU4_1):
            torch.testing.assert_close(tensor, published[name], atol=1e-3, rtol=1e-3)
    run(settings("wct-5", init=str(started), iterations=2), networks)
    after = read_settings(tmp_path / "run" / "wct-5.safetensors")
    assert (after["before"]["iteration"], after["iteration"]) == (4, 2)


def test_a_run_with_muon_lowers_the_loss(settings, networks, every_step):
    made = settings("wct-2", iterations=40, learning_rate=1e-3, optimizer="muon", from_scratch=True)
    steps = [e for e in run(made, networks) if isinstance(e, Iterated)]
    assert steps[-1].total < steps[0].total


def test_muon_is_refused_where_it_is_not_meant_to_be(settings):
    with pytest.raises(MetastyleError, match="adam for shen"):
        settings("shen", optimizer="muon")


def test_a_run_lowers_the_loss_and_writes_the_part(settings, networks, tmp_path, photos):
    made = settings("wct-1", iterations=40, learning_rate=3e-3, from_scratch=True)
    events = run(made, networks)
    assert isinstance(events[0], Started) and (events[0].contents, events[0].styles) == (5, 4)
    steps = [e for e in events if isinstance(e, Iterated)]
    assert [s.iteration for s in steps] == [10, 20, 30, 40]
    assert steps[-1].progress == 1 and steps[-1].seconds_left == 0
    assert steps[-1].total < 0.5 * steps[0].total
    last = events[-1]
    assert isinstance(last, Finished) and last.reason == "done"
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        ".claim",
        "wct-1.metrics.jsonl",
        "wct-1.safetensors",
        "wct-1.state",
    ]

    with torch.device("meta"):
        decoder = Decoder(1)
    trained = load_trained(decoder, "wct-1", tmp_path / "run").state_dict()
    tensors, _ = load_state(tmp_path / "run" / "wct-1.state")
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor, tensors[f"model.{name}"], atol=1e-3, rtol=1e-3)
    about = read_settings(last.weights)
    assert (
        about["iteration"] == 40
        and about["settings"]["learning_rate"] == 3e-3
        and about["losses"] == steps[-1].losses
    )
    assert str(photos.parent) not in str(about)

    assert not any(isinstance(e, Iterated) for e in run(made, networks))  # the run is complete


def test_johnson_does_not_see_hidden_colors_of_its_painting(settings, networks, tmp_path, monkeypatch):
    monkeypatch.setattr(johnson, "PAINTING_SIZE", 64)
    pixels = np.full((64, 64, 3), (90, 120, 60), np.uint8)
    pixels[:, 32:] = (255, 0, 255)
    alpha = np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)[None].repeat(64, 0)
    save_picture(Picture(pixels, alpha), tmp_path / "a.png")
    made = dataclasses.replace(settings("johnson"), styles=str(tmp_path / "a.png"))
    task = training.SystemTask(made, launch("cpu", "float32"), torch.float32, networks)
    seen = (task.module.learned.thumbnail * 255).round()
    assert torch.equal(seen, torch.tensor([90.0, 120.0, 60.0])[:, None, None].expand(3, 8, 8))


@pytest.mark.parametrize("part", ["wct-2", "shen", "johnson"])
def test_a_stopped_and_resumed_run_gives_the_same_bits(
    part, settings, networks, tmp_path, paintings, monkeypatch, every_step
):
    monkeypatch.setattr(shen, "MetaNetwork", functools.partial(MetaNetwork, width=1))
    monkeypatch.setattr(johnson, "PAINTING_SIZE", 64)
    style = str(paintings / "0.png") if part == "johnson" else str(paintings)
    states = []
    for name, stop_at in (("straight", None), ("stopped", 2)):
        made = dataclasses.replace(settings(part, output=str(tmp_path / name)), styles=style)
        events = run(made, networks, stop_at)
        if stop_at is not None:
            assert events[-1].reason == "stopped" and isinstance(events[-2], Saved)
            assert events[-1].iteration == 2
            events = run(made, networks)
            assert isinstance(events[0], Started) and events[0].iteration == 2
        assert events[-1].reason == "done"
        states.append(load_state(next((tmp_path / name).glob("*.state"))))
    (one, a), (other, b) = states
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
    assert a["losses"] == b["losses"] and a["iteration"] == b["iteration"] == 4


def test_a_run_goes_on_from_the_weights_of_an_earlier_one(settings, networks, tmp_path):
    first = run(settings("wct-2", iterations=3), networks)[-1].weights
    again = settings("wct-2", iterations=2, init=str(first), output=str(tmp_path / "again"))
    task = training.SystemTask(again, launch("cpu", "float32"), torch.float32, networks)
    assert not list(task.prepare())  # the start is fitted already
    loaded = load_trained(Decoder(2), "wct-2", first.parent).state_dict()
    assert all(torch.equal(p, loaded[name]) for name, p in task.parameters.items())
    assert all(p.requires_grad for p in task.parameters.values()) and task.parameters
    second = read_settings(run(again, networks)[-1].weights)
    assert second["iteration"] == 2 and second["before"]["iteration"] == 3
    third = settings(
        "wct-2",
        iterations=1,
        init=str(tmp_path / "again" / "wct-2.safetensors"),
        output=str(tmp_path / "third"),
    )
    assert read_settings(run(third, networks)[-1].weights)["before"]["iteration"] == 5
    with pytest.raises(MetastyleError, match="this run has init = "):
        run(dataclasses.replace(third, init=str(first), iterations=2), networks)
    with pytest.raises(MetastyleError, match="holds the weights of 'wct-2', not of 'wct-3'"):
        run(settings("wct-3", init=str(first), output=str(tmp_path / "other")), networks)


def test_the_number_of_workers_does_not_change_the_result(settings, networks, tmp_path):
    for workers in (0, 1):
        run(settings(iterations=2, workers=workers, output=str(tmp_path / str(workers))), networks)
    one, other = (load_state(tmp_path / str(n) / "wct-1.state")[0] for n in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_state_of_a_different_run_is_refused(settings, networks, paintings, tmp_path):
    run(settings(iterations=1), networks)
    with pytest.raises(MetastyleError, match="this run has seed = 0, not 1"):
        run(settings(iterations=2, seed=1), networks)
    other = dataclasses.replace(settings(iterations=2), contents=str(paintings))
    with pytest.raises(MetastyleError, match="the pictures have changed"):
        run(other, networks)
    assert run(settings(iterations=2, device="auto"), networks)[-1].iteration == 2


def test_a_trained_network_of_johnson_et_al_is_found_by_its_painting(
    settings, networks, paintings, tmp_path, monkeypatch
):
    monkeypatch.setattr(johnson, "PAINTING_SIZE", 64)
    painting = paintings / "1.png"
    made = dataclasses.replace(settings("johnson", iterations=1), styles=str(painting))
    assert run(made, networks)[-1].weights.name == "johnson-1.safetensors"
    system = TrainedJohnson.load(torch.device("cpu"), tmp_path / "run")
    picture = to_tensor(open_picture(painting).pixels)
    assert system.prepare(picture)(picture).shape == picture.shape
    assert system.earlier == read_settings(tmp_path / "run" / "johnson-1.safetensors")["seconds"]


def test_the_system_loads_a_trained_part(settings, networks, tmp_path, encoder, draw, monkeypatch):
    run(settings("style-swap", iterations=1), networks)
    monkeypatch.setattr(Encoder, "load", lambda level: encoder)
    system = StyleSwap.load(torch.device("cpu"), tmp_path / "run")
    assert system.prepare(draw(1))(draw(0, 40, 36)).shape == (1, 3, 40, 36)


def test_decoders_start_from_the_published_one(settings, networks):
    """Except the first convolutions of other levels, whose input the published decoder never had."""
    published = networks.decoder.state_dict()
    for level, kept in ((2, ["conv2_1"]), (4, []), (5, ["conv5_1", "conv4_2", "conv4_3", "conv4_4"])):
        started = Decoder(level)
        own = {name: t.clone() for name, t in started.state_dict().items()}
        copy_published(started, networks.decoder)
        for name, tensor in started.state_dict().items():
            expected = own if name.split(".")[0] in kept else published
            assert torch.equal(tensor, expected[name])
    starts = []
    for folder, from_scratch in (("started", False), ("scratch", True)):
        output = Path(settings().output, folder)
        made = settings(
            "wct-2", iterations=1, learning_rate=1e-9, from_scratch=from_scratch, output=str(output)
        )
        run(made, networks)
        starts.append(load_state(output / "wct-2.state")[0]["model.conv1_2.weight"])
    torch.testing.assert_close(starts[0], published["conv1_2.weight"])
    assert (starts[1] - starts[0]).abs().max() > 1e-3


def test_losses_that_are_not_finite_end_the_run_with_an_error(settings, networks, monkeypatch):
    encoder = copy.deepcopy(networks.encoder)
    with torch.no_grad():
        encoder.conv4_1.bias.fill_(torch.nan)
    networks = dataclasses.replace(networks, encoder=encoder)
    monkeypatch.setattr(loop, "TOO_MANY_SKIPPED", 2)
    with pytest.raises(MetastyleError, match="not finite 2 times in a row, until iteration 2"):
        run(settings("avatar-net", from_scratch=True), networks)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"part": "vgg"}, f"use one of {', '.join(PARTS)}"),
        ({"iterations": None}, "minutes is None: use a length"),
        ({"iterations": 0}, "iterations is 0"),
        ({"crop": 40}, "crop is 40: use a multiple of 16"),
        ({"learning_rate": 2.0}, "learning_rate is 2.0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        (
            {"init": "a.safetensors", "from_scratch": True},
            "init is 'a.safetensors': use weights or a random start",
        ),
    ],
)
def test_invalid_settings_are_refused(changes, expected, settings):
    with pytest.raises(MetastyleError, match=expected):
        settings(**changes)


def test_a_second_run_in_the_same_folder_is_refused(settings, networks):
    first = train(settings(), networks)
    while not isinstance(next(first), Saved):
        pass
    with pytest.raises(MetastyleError, match="another run is training there"):
        run(settings("wct-2"), networks)
    first.close()
    run(settings("wct-2", iterations=1), networks)


def test_a_checkpoint_of_an_earlier_version_resumes_to_the_same_bits(
    settings, networks, tmp_path, every_step
):
    """Its settings had other names, and it had neither counters nor sums of losses."""
    straight, old = (settings(output=str(tmp_path / name), iterations=4) for name in ("straight", "old"))
    run(straight, networks)
    run(old, networks, stop_at=2)
    path = tmp_path / "old" / "wct-1.state"
    tensors, numbers = load_state(path)
    assert numbers["iteration"] == 2
    numbers["settings"]["rate"] = numbers["settings"].pop("learning_rate")
    for later in ("skipped", "skipped_running", "broken", "window", "curve"):
        del numbers[later]
    save_state(path, tensors, numbers)
    run(old, networks)
    one, other = (load_state(tmp_path / name / "wct-1.state")[0] for name in ("straight", "old"))
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
