"""Every operator that the page runs on WebGPU gives there what onnxruntime gives on a processor.

Whole graphs take up to minutes on Chromium's software adapter, their operators one by one take milliseconds
each, once their programs are compiled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from metastyle.core.loss_network import LossNetwork
from metastyle.studio import assets, graphs, refinement

from .browser import CHROMIUM, GPU_FLAGS, opened, required, served

required()
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RUNTIME = Path(__file__).parents[2] / "studio" / "node_modules" / "onnxruntime-web" / "dist"
SIZE = 32
TOLERANCE = 2e-6
"""Of the norm: float32's rounding in sums of a few thousand numbers."""
PAGE = """<!doctype html><script type="module">
import * as ort from "./ort.jspi.min.mjs";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL(".", location.href).href;
window.ort = ort;
</script>"""
RUN = """async ([folder, inputs, kind, alone]) => {
    const numbers = { float32: Float32Array, bool: Uint8Array, int64: BigInt64Array };
    const read = async (name) => (await fetch(`${folder}/${name}`)).arrayBuffer();
    const session = await ort.InferenceSession.create(new Uint8Array(await read("node.onnx")), {
        executionProviders: ["webgpu"],
        logSeverityLevel: 4,
        extra: { session: { disable_cpu_ep_fallback: alone ? "1" : "0" } },
    });
    const feeds = {};
    for (const [name, type, shape] of inputs)
        feeds[name] = new ort.Tensor(type, new numbers[type](await read(name)), shape);
    const result = (await session.run(feeds))[session.outputNames[0]];
    const [got, wanted] = [await result.getData(), new numbers[kind](await read("expected"))];
    await session.release();
    let [error, norm] = [0, 0];
    for (let i = 0; i < wanted.length; i++) {
        error += (Number(got[i]) - Number(wanted[i])) ** 2;
        norm += Number(wanted[i]) ** 2;
    }
    return got.length === wanted.length ? Math.sqrt(error / Math.max(norm, 1e-30)) : Infinity;
}"""


class Operator(NamedTuple):
    """One node of a graph, with what goes in and what comes out."""

    kind: str
    model: bytes
    inputs: dict[str, np.ndarray]
    expected: np.ndarray


def operators_of(graph: bytes) -> Iterator[Operator]:
    """Nodes that differ in more than their sizes, each in its smallest form, with values of a whole run."""
    model = onnx.load_from_string(graph)
    rng = np.random.default_rng(0)
    values: dict[str, np.ndarray] = {}
    for entry in model.graph.input:
        shape = [axis.dim_value or SIZE for axis in entry.type.tensor_type.shape.dim]
        values[entry.name] = rng.random(shape, np.float32)
    values |= {
        "parameters": np.frombuffer(assets.theta(), "<f2").astype(np.float32),
        "step": np.full(1, 2, np.float32),
        "rate": np.full(1, 1e-3, np.float32),
    }
    feeds = {entry.name: values[entry.name] for entry in model.graph.input}
    frozen = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    values = {**feeds, **frozen, **dict(zip(names, session.run(names, feeds), strict=True))}

    smallest: dict[Any, Any] = {}
    for node in model.graph.node:
        arrays = [values[name] for name in node.input if name]
        attributes = tuple(str(a) for a in node.attribute if a.name != "alpha")
        key = (node.op_type, attributes, tuple((a.dtype.str, a.ndim) for a in arrays))
        size = sum(a.size for a in arrays)
        # Weights in float16 are made float32 when a graph is opened, not on the GPU.
        if node.op_type != "Cast" and (key not in smallest or size < smallest[key][0]):
            smallest[key] = size, node
    for _, node in smallest.values():
        inputs = {name: values[name] for name in dict.fromkeys(node.input) if name}
        constants = {name for name, array in inputs.items() if array.dtype == np.int64}
        expected = values[node.output[0]]
        if moving := {name: array for name, array in inputs.items() if name not in constants}:
            yield Operator(node.op_type, _alone(node, inputs, constants, expected), moving, expected)


def _alone(node: Any, inputs: dict[str, np.ndarray], constants: set[str], expected: np.ndarray) -> bytes:
    """A graph of one node; shapes and bounds are constants, as in the whole graph."""

    def described(name: str, array: np.ndarray) -> Any:
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return onnx.helper.make_tensor_value_info(name, kind, array.shape)

    graph = onnx.helper.make_graph(
        [node],
        "node",
        [described(name, array) for name, array in inputs.items() if name not in constants],
        [described(node.output[0], expected)],
        [onnx.numpy_helper.from_array(inputs[name], name) for name in constants],
    )
    opset = onnx.helper.make_opsetid("", 20)
    alone: bytes = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    return alone


@pytest.fixture(scope="module")
def gpu_page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A page with onnxruntime on Chromium's software adapter, and the folder that it reads."""
    if not RUNTIME.is_dir():
        pytest.skip("npm packages are not installed")
    folder = tmp_path_factory.mktemp("operators")
    for pattern in ("ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.*"):
        for path in RUNTIME.glob(pattern):
            (folder / path.name).symlink_to(path)
    (folder / "index.html").write_text(PAGE)
    own = browser.browser_type.launch(executable_path=str(CHROMIUM), args=GPU_FLAGS)
    with served(folder) as address:
        page = opened(own)
        page.goto(address)
        page.wait_for_function("window.ort")
        yield page, folder
    own.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["stylize", "measure", "frozen", "refine", "describe"])
def test_operators_run_on_webgpu(gpu_page: tuple[Any, Path], loss_network: LossNetwork, name: str) -> None:
    """On the GPU itself: none of them is left to the processor."""
    page, folder = gpu_page
    if name == "refine":
        graph = refinement.refine_graph(loss_network, size=SIZE, quick=False)
    elif name == "describe":
        graph = assets.describe(quick=False)
    else:
        graph = graphs.GRAPHS[name]()
    errors = {
        f"{operator.kind} {index}": _error(page, folder / f"{name}-{index}", operator)
        for index, operator in enumerate(operators_of(graph))
    }
    assert len(errors) > 5
    assert max(errors.values()) <= TOLERANCE, json.dumps(errors)


@pytest.mark.timeout(900)
def test_a_painting_is_described_on_webgpu_as_on_a_processor(gpu_page: tuple[Any, Path]) -> None:
    """The whole graph; only the arithmetic of shapes is left to the processor."""
    page, folder = gpu_page
    painting = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(assets.describe(quick=True), providers=["CPUExecutionProvider"])
    norms = session.run([graphs.NORMS], {graphs.PAINTING: painting})[0]
    whole = Operator("describe", assets.describe(quick=False), {graphs.PAINTING: painting}, norms)
    assert _error(page, folder / "whole", whole, alone=False) <= TOLERANCE


def _error(page: Any, place: Path, operator: Operator, alone: bool = True) -> float:
    """Of the first output on WebGPU, relative to the expected norm; ``alone``: without the processor."""
    place.mkdir()
    (place / "node.onnx").write_bytes(operator.model)
    (place / "expected").write_bytes(operator.expected.tobytes())
    inputs = []
    for key, array in operator.inputs.items():
        (place / key).write_bytes(array.tobytes())
        inputs.append([key, array.dtype.name, list(array.shape)])
    error: float = page.evaluate(RUN, [place.name, inputs, operator.expected.dtype.name, alone])
    return error
