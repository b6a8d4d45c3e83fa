"""The ONNX graphs of the page give the results of the modules in Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.core.loss_network import LossNetwork
from metastyle.core.losses import style_target
from metastyle.core.network import InstanceNorm, TransformationNetwork, instance_norm_parameters
from metastyle.rendering.frozen import FoldedNetwork, Statistics
from metastyle.studio import graphs
from metastyle.studio.graph_builder import Builder
from metastyle.studio.graph_convolutions import by_rows, doubled, winograd
from metastyle.weights.initialization import load_initialization

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

SIZES = ((1, 3, 48, 64), (1, 3, 20, 16), (1, 3, 72, 36))
VARIANTS = pytest.mark.parametrize("quick", [False, True], ids=["plain", "quick"])


@pytest.fixture(scope="module")
def network() -> TransformationNetwork:
    """Random weights; the norms are not the identity."""
    torch.manual_seed(1)
    network = TransformationNetwork().eval().requires_grad_(False)
    for parameter in instance_norm_parameters(network).values():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def parameters(network: TransformationNetwork) -> np.ndarray:
    return graphs.flatten(dict(network.named_parameters())).numpy()


def _run(graph: bytes, **inputs: np.ndarray) -> np.ndarray:
    (result,) = _all(graph, **inputs)
    return result


def _all(graph: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(None, inputs)
    return results


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 11), (16, 18), (7, 3)])
def test_quick_convolutions_equal_plain_ones(mode: str, height: int, width: int) -> None:
    """By Winograd's method, after upsampling and by rows, also for sizes that are not multiples of a tile."""
    torch.manual_seed(3)
    x, weight, bias = torch.randn(1, 5, height, width), torch.randn(6, 5, 3, 3), torch.randn(6)
    large = torch.randn(3, 5, 5, 5)
    forms = {
        "tiles": (lambda *w: winograd(*w, (6, 5), mode), weight, mode, x),
        "doubled": (
            lambda *w: doubled(*w, (6, 5)),
            weight,
            "reflect",
            x.repeat_interleave(2, 2).repeat_interleave(2, 3),
        ),
        "rows": (lambda *w: by_rows(*w, (3, 5, 5, 5)), large, "reflect", x),
    }
    for name, (form, kernel, margin, source) in forms.items():
        build = Builder()
        own = bias[: len(kernel)]
        y = form(build, "x", build.constant(kernel.numpy()), build.constant(own.numpy()))
        build.output(y, "y")
        graph = build.graph(name, {"x": [1, 5, "h", "w"]}, {"y": [1, len(kernel), "a", "b"]})
        side = kernel.shape[-1] // 2
        expected = F.conv2d(F.pad(source, [side] * 4, margin), kernel, own).numpy()
        np.testing.assert_allclose(_run(graph, x=x.numpy()), expected, atol=1e-4, err_msg=name)


def _levels(a: np.ndarray, b: Tensor) -> float:
    return float(np.abs(np.rint(a * 255) - np.rint(b.numpy() * 255)).max())


def _statistics(network: TransformationNetwork, x: Tensor) -> Statistics:
    seen: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for module in network.modules()
        if isinstance(module, InstanceNorm)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    means = tuple(s.mean((0, 2, 3)).double() for s in seen)
    return Statistics(means, tuple(s.var((0, 2, 3), unbiased=False).double() for s in seen))


@VARIANTS
@pytest.mark.parametrize("size", SIZES)
def test_the_stylize_graph_paints_like_the_network(
    network: TransformationNetwork, parameters: np.ndarray, size: tuple[int, ...], quick: bool
) -> None:
    picture = torch.rand(size)
    painted = _run(graphs.stylize_graph(quick), parameters=parameters, picture=picture.numpy())
    assert painted.shape == size
    assert _levels(painted, network(picture)) <= 1


@VARIANTS
def test_the_frozen_graph_with_measured_statistics_paints_the_same_picture(
    network: TransformationNetwork, parameters: np.ndarray, quick: bool
) -> None:
    """``measure`` gives the statistics that Python measures; ``frozen`` paints with folded parameters."""
    picture = torch.rand(SIZES[0])
    measured = _run(graphs.measure_graph(quick), parameters=parameters, picture=picture.numpy())
    expected = _statistics(network, picture)
    both = torch.cat([*expected.means, *expected.variances])
    np.testing.assert_allclose(measured, both.numpy(), rtol=1e-3, atol=1e-4)

    folded = FoldedNetwork(network, expected).network
    own = dict(folded.named_parameters())
    zeros = {s.name: torch.zeros(s.shape) for s in graphs.layout()}
    vector = graphs.flatten(zeros | own).numpy()
    painted = _run(graphs.frozen_graph(quick), parameters=vector, picture=picture.numpy())
    assert _levels(painted, network(picture)) <= 1


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("size", [(1, 3, 97, 130), (1, 3, 64, 64)])
def test_the_describe_graph_predicts_the_start(
    network: TransformationNetwork, size: tuple[int, ...], quick: bool
) -> None:
    """Within the precision of float16, with random weights."""
    torch.manual_seed(2)
    predictor = StylePredictor().requires_grad_(False)
    predictor.mean.uniform_(0, 0.1)
    predictor.std.uniform_(0.5, 1)
    predictor.decode.weight.normal_(0, 0.05)
    loss_network, initialization = LossNetwork(), Initialization(network, predictor)
    painting = torch.rand(size)
    start = initialization.start(style_target(loss_network, painting))
    expected = torch.cat([start[name].detach().flatten() for name in graphs.norm_names()]).numpy()
    graph = graphs.describe_graph(initialization, loss_network, quick)
    norms, *grams = _all(graph, painting=painting.numpy())
    for ours, theirs in zip(grams, style_target(loss_network, painting).grams, strict=True):
        assert np.linalg.norm(ours - theirs.numpy()) < 2e-3 * np.linalg.norm(theirs.numpy())
    base = torch.cat([p.flatten() for p in instance_norm_parameters(network).values()]).numpy()
    moved = np.linalg.norm(expected - base)
    assert moved > 0.1
    assert np.linalg.norm(norms - expected) < 2e-3 * moved


def test_the_graphs_paint_a_new_painting_like_python(loss_network: LossNetwork) -> None:
    """With the shipped model and the published VGG-16, within one level of 255."""
    initialization, _ = load_initialization()
    network = initialization.network
    ramp = torch.linspace(0, 1, 128)
    painting = torch.stack([ramp.expand(96, 128), ramp.flip(0).expand(96, 128), torch.rand(96, 128)])[None]
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 16), scale_factor=4.0, mode="bilinear")
    norms, *_ = _all(graphs.describe_graph(initialization, loss_network, True), painting=painting.numpy())
    with torch.no_grad():
        start = initialization.start(style_target(loss_network, painting))
        expected = functional_call(network, start, (picture,))
    sizes = [start[name].numel() for name in graphs.norm_names()]
    own = dict(zip(graphs.norm_names(), torch.from_numpy(norms).split(sizes), strict=True))
    vector = graphs.flatten(dict(network.named_parameters()) | own).numpy()
    assert _levels(_run(graphs.stylize_graph(), parameters=vector, picture=picture.numpy()), expected) <= 1


def test_the_describe_graph_without_a_predictor_returns_theta(network: TransformationNetwork) -> None:
    norms, *_ = _all(
        graphs.describe_graph(Initialization(network), LossNetwork()),
        painting=torch.rand(1, 3, 64, 64).numpy(),
    )
    base = torch.cat([p.flatten() for p in instance_norm_parameters(network).values()]).numpy()
    np.testing.assert_array_equal(norms, base)


def test_the_layout_covers_the_parameter_vector(
    network: TransformationNetwork, parameters: np.ndarray
) -> None:
    state = dict(network.named_parameters())
    assert parameters.shape == (1_679_235,)
    for segment in graphs.layout():
        part = parameters[segment.offset : segment.offset + segment.size].reshape(segment.shape)
        np.testing.assert_array_equal(part, state[segment.name].numpy())
    halved = np.frombuffer(graphs.theta_bytes(Initialization(network)), "<f2")
    np.testing.assert_array_equal(halved, parameters.astype(np.float16))
