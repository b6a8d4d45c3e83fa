"""Refinement in the page takes the steps that the library takes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core import adaptation
from metastyle.core.adaptation import Adaptation, rate_factor
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import balanced_style_weight, perceptual_loss, style_target
from metastyle.core.muon import Muon
from metastyle.core.network import idle_parameters
from metastyle.core.settings import AdaptationSettings
from metastyle.images.contents import procedural_pool
from metastyle.studio import graphs, refinement
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_gradients import Tape, Value
from metastyle.studio.graph_optimizers import adam_step, muon_step
from metastyle.weights.initialization import load_initialization

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

SIZE = 64
PAINTINGS = ("quiet", "middling", "loud")


def opened(graph: bytes) -> Callable[..., dict[str, np.ndarray]]:
    """A graph as a function of its inputs; the results by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(**inputs: np.ndarray | Tensor) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return run


def painting(kind: str) -> Tensor:
    """Blots of three degrees of contrast: the balance of the losses has a branch for each."""
    torch.manual_seed(7)
    blots = F.interpolate(torch.rand(1, 3, 12, 16), scale_factor=8.0, mode="nearest")
    return {"quiet": 0.48 + 0.04 * blots, "middling": 0.1 + 0.5 * blots, "loud": (blots > 0.5).float()}[kind]


def relative(ours: np.ndarray | Tensor, theirs: np.ndarray | Tensor) -> float:
    """The error as a share of the norm."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert np.linalg.norm(b) > 0
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def grams_of(target: adaptation.StyleTarget) -> dict[str, Tensor]:
    return dict(zip(graphs.GRAMS, target.grams, strict=True))


@pytest.fixture(scope="module")
def own_loss_network() -> LossNetwork:
    """Random weights, of the numbers that float16 holds, so that both sides compute with the same."""
    torch.manual_seed(4)
    network = LossNetwork()
    for parameter in network.parameters():
        parameter.copy_(parameter.mul(2.0).half().float())
    return network


@pytest.fixture(scope="module")
def refine(own_loss_network: LossNetwork) -> Callable[..., dict[str, np.ndarray]]:
    return opened(refinement.refine_graph(own_loss_network, size=SIZE))


@pytest.fixture(scope="module")
def content(own_loss_network: LossNetwork) -> Callable[..., dict[str, np.ndarray]]:
    return opened(refinement.content_graph(own_loss_network, size=SIZE))


def nothing_yet() -> dict[str, np.ndarray]:
    """The optimizers' state before the first step."""
    return {name: np.zeros(size, np.float32) for name, size in refinement.state_sizes().items()}


@pytest.mark.parametrize("kind", PAINTINGS)
def test_the_gradient_is_autograds(
    network: torch.nn.Module,
    own_loss_network: LossNetwork,
    refine: Callable[..., dict[str, np.ndarray]],
    content: Callable[..., dict[str, np.ndarray]],
    kind: str,
) -> None:
    """In float64, to 1e-4 of its norm, layer by layer; torch's own float32 is further away.

    Momenta after a first step are the gradient, or a tenth of it.
    """
    settings = AdaptationSettings()
    exact = copy.deepcopy(own_loss_network).double()
    target = style_target(exact, painting(kind).double())
    picture = procedural_pool(1, SIZE, 3)
    seen = picture + 0.05 * torch.randn_like(picture)
    features = exact(picture.double(), [CONTENT_LAYER])[CONTENT_LAYER]
    ours = content(picture=picture)["features"]
    assert relative(ours, features) < 1e-5

    own = {name: p.detach().double().requires_grad_() for name, p in network.named_parameters()}
    painted = functional_call(network, own, (seen.double(),))
    beta = settings.style_weight * balanced_style_weight(target, settings.balance)
    loss = perceptual_loss(exact(painted), features, target, settings.content_weight, beta)
    loss.total.backward()
    result = refine(
        parameters=graphs.flatten(own),
        picture=seen,
        features=ours,
        step=np.ones(1),
        rate=np.full(1, 1e-3),
        **nothing_yet(),
        **grams_of(target),
    )
    style = loss.style * settings.style_weight / beta
    np.testing.assert_allclose(result["losses"], [loss.content.item(), style.item()], rtol=1e-4)
    muon, adam = refinement.groups()
    offset = 0
    for group, share in ((muon, 1.0), (adam, 0.1)):
        for segment in group:
            gradient = own[segment.name].grad
            assert gradient is not None
            part = result["next_momenta"][offset : offset + segment.size] / share
            assert relative(part, gradient.flatten()) < 1e-4, segment.name
            offset += segment.size
    assert offset == len(result["next_momenta"])


def test_groups_are_all_parameters_but_the_idle_ones(network: torch.nn.Module) -> None:
    names = [segment.name for group in refinement.groups() for segment in group]
    assert len(names) == len(set(names))
    assert set(names) | idle_parameters(network) == {name for name, _ in network.named_parameters()}
    assert not set(names) & idle_parameters(network)


def test_ten_steps_are_the_librarys(loss_network: LossNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """Muon, Adam, their state, the rate and the balance, with VGG-16's true weights, rounded to float16.

    Each step starts at the library's parameters with the graph's own state: two runs in float32 part by
    rounding, which Muon makes as large as the signal in directions where there is none.
    """
    monkeypatch.setattr(adaptation, "compute_dtype", lambda device: torch.float32)
    rounded = copy.deepcopy(loss_network).half().float()
    rounded.mean, rounded.std = loss_network.mean, loss_network.std
    settings = AdaptationSettings(steps=10, pool=4, size=SIZE, grain=0)
    initialization, _ = load_initialization()
    pool = procedural_pool(4, SIZE, 0)
    theirs = Adaptation(initialization, rounded, painting("middling"), pool, settings, device="cpu")
    refine = opened(refinement.refine_graph(rounded, settings, SIZE))
    content = opened(refinement.content_graph(rounded, SIZE))
    grams = grams_of(style_target(rounded, painting("middling")))
    order = adaptation._endless_shuffle(4, torch.Generator().manual_seed(settings.seed))
    before, state = graphs.flatten(theirs.parameters), nothing_yet()
    for step in theirs:
        picture = pool[next(order)][None]
        result = refine(
            parameters=before,
            picture=picture,
            features=content(picture=picture)["features"],
            step=np.full(1, step.step),
            rate=np.full(1, settings.learning_rate * rate_factor(step.step, settings)),
            **state,
            **grams,
        )
        np.testing.assert_allclose(result["losses"], [step.content, step.style], rtol=1e-4)
        after = graphs.flatten(step.parameters())
        assert relative(result["next_parameters"] - before.numpy(), after - before) < 0.04
        for segment in graphs.layout():
            if segment.name in idle_parameters(initialization.network):
                part = slice(segment.offset, segment.offset + segment.size)
                np.testing.assert_array_equal(result["next_parameters"][part], before[part])
        before, state = after, {name: result[f"next_{name}"] for name in state}


@pytest.mark.parametrize(("channels", "stride"), [((5, 6), 1), ((5, 6), 2), ((64, 70), 1)])
def test_layers_go_back_as_autograd_does(channels: tuple[int, int], stride: int) -> None:
    """Convolutions of every form, margins, norms, upsampling, sums, from one random gradient."""
    torch.manual_seed(5)
    incoming, count = channels
    x, weight = torch.randn(1, incoming, 12, 16), torch.randn(count, incoming, 3, 3) / incoming
    scale, shift = torch.rand(count) + 0.5, torch.randn(count)
    tensors = {"x": x, "weight": weight, "scale": scale, "shift": shift}
    values = {name: Value(name, tuple(tensor.shape)) for name, tensor in tensors.items()}
    build = Builder()
    tape = Tape(build, values.values())
    y = tape.convolution(tape.reflected(values["x"], 1), values["weight"], stride)
    y = tape.relu(tape.normalized(y, values["scale"], values["shift"]))
    y = tape.added(tape.sigmoid(tape.reflected(tape.doubled(y), 4)), tape.reflected(tape.doubled(y), 4))
    given = torch.randn(y.shape)
    gradients = tape.gradients({y: "given"}, list(values.values()))
    for name, gradient in zip(values, gradients, strict=True):
        build.output(gradient, f"{name}_gradient")
    inputs = {name: value.shape for name, value in values.items()} | {"given": y.shape}
    outputs = {f"{name}_gradient": value.shape for name, value in values.items()}
    ours = opened(build.graph("layers", inputs, outputs))(given=given, **tensors)

    own = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}
    h = F.conv2d(F.pad(own["x"], [1] * 4, "reflect"), own["weight"], stride=stride)
    h = F.relu(F.instance_norm(h) * own["scale"][:, None, None] + own["shift"][:, None, None])
    h = F.pad(F.interpolate(h, scale_factor=2.0), [4] * 4, "reflect")
    (h.sigmoid() + h).backward(given)
    for name, tensor in own.items():
        assert tensor.grad is not None
        assert relative(ours[f"{name}_gradient"], tensor.grad) < 1e-5, name


def test_pooling_goes_back_as_autograd_does() -> None:
    """Behind a ReLU, as in VGG-16, with a convolution of a margin of zeros after it."""
    torch.manual_seed(6)
    x, weight = torch.randn(1, 64, 8, 12), torch.randn(66, 64, 3, 3) / 64
    build = Builder()
    tape = Tape(build, [source := Value("x", tuple(x.shape))])
    kernels = Value(build.constant(weight.numpy()), tuple(weight.shape))
    y = tape.convolution(tape.halved(tape.relu(source)), kernels, zeros=1)
    (gradient,) = tape.gradients({y: "given"}, [source])
    build.output(gradient, "gradient")
    graph = build.graph("pooling", {"x": x.shape, "given": y.shape}, {"gradient": x.shape})
    given = torch.randn(y.shape)
    own = x.clone().requires_grad_()
    F.conv2d(F.max_pool2d(F.relu(own), 2), weight, padding=1).backward(given)
    assert own.grad is not None
    assert relative(opened(graph)(x=x, given=given)["gradient"], own.grad) < 1e-5


def test_optimizers_step_as_torchs() -> None:
    """Three steps, the last with a gradient of zeros."""
    torch.manual_seed(8)
    shape = (6, 4, 3, 3)
    build = Builder()
    size = int(np.prod(shape))
    parameter, sum_ = muon_step(build, Value("kernel", shape), "gradient", "momentum", "rate")
    flat = [build.reshaped(name, -1) for name in ("kernel", "gradient")]
    moved, first, squares = adam_step(build, flat[0], flat[1], ("first", "second"), "step", "rate")
    outputs = {"parameter": parameter, "sum": sum_, "moved": moved, "m": first, "v": squares}
    for name, output in outputs.items():
        build.output(output, name)
    vectors = dict.fromkeys(("momentum", "first", "second"), (size,))
    inputs = {"kernel": shape, "gradient": shape, "step": (1,), "rate": (1,)} | vectors
    run = opened(build.graph("optimizers", inputs, dict.fromkeys(outputs, (size,))))

    start = torch.randn(shape)
    by_muon, by_adam = (start.clone().requires_grad_() for _ in range(2))
    optimizers = [Muon([by_muon], lr=adaptation.MUON_RATE * 0.1), torch.optim.Adam([by_adam], lr=0.1)]
    ours = [start.numpy(), start.numpy()]
    momentum, moments = np.zeros(size), (np.zeros(size), np.zeros(size))
    for step, factor in ((1, 1.0), (2, 1.0), (3, 0.0)):
        gradient = factor * torch.randn(shape)
        by_muon.grad, by_adam.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
        common = {"gradient": gradient, "step": np.full(1, step), "rate": np.full(1, 0.1)}
        common |= {"momentum": momentum, "first": moments[0], "second": moments[1]}
        results = [run(kernel=kernel, **common) for kernel in ours]
        ours = [results[0]["parameter"].reshape(shape), results[1]["moved"].reshape(shape)]
        momentum, moments = results[0]["sum"], (results[1]["m"], results[1]["v"])
        assert relative(ours[0] - start.numpy(), by_muon.detach() - start) < 1e-4
        assert relative(ours[1] - start.numpy(), by_adam.detach() - start) < 1e-4
