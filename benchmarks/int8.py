"""What 8-bit integers would change in a picture, and how fast they would be.

    python benchmarks/int8.py PHOTO [--style mosaic starry-night] [--size 512 1024] [--pictures FOLDER]

computes convolutions with oneDNN's 8-bit integers (VNNI or AMX) within the renderer, and compares pictures
and processor seconds with float32 and bfloat16, in turns. The conditions are the best ones: ranges come from
the picture itself, each channel has its own (Xiao et al., "SmoothQuant", ICML 2023), and so has each kernel.
Writes int8.json and int8.md next to this file, and the pictures into FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rounds import in_turns, machine, ratio, seconds, write
from torch import Tensor

from metastyle import api
from metastyle.core.network import TransformationNetwork
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.rendering.convolutions import Convolution
from metastyle.rendering.stylizer import Stylizer
from metastyle.weights.builtin_styles import builtin_path

BALANCE = 0.75
"""Share of a channel's range that moves from the values into the kernels; the best of 0, 0.5, 0.75 and 1."""
REFERENCE = "float32"


class Int8:
    """Takes the place of ``Convolution._convolve``: measures ranges, and computes in 8 bits once frozen."""

    def __init__(self, convolution: Convolution) -> None:
        self._convolution = convolution
        self._exact: Callable[[Tensor], Tensor] = convolution._convolve
        self._lowest = self._highest = torch.zeros(convolution.weight.shape[1])
        self._frozen = False
        convolution._convolve = self  # type: ignore[method-assign]

    def __call__(self, x: Tensor) -> Tensor:
        stride = [self._convolution.stride] * 2
        if not self._frozen:
            values = x[0].float().flatten(1)
            self._lowest = torch.minimum(self._lowest, values.amin(1))
            self._highest = torch.maximum(self._highest, values.amax(1))
            return self._exact(x)
        quantized = (x * self._factors).add_(self._zero).round_().clamp_(0, 255).to(torch.uint8)
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            quantized, self._scale, self._zero, self._packed, self._kernel_scales, self._zeros,
            self._convolution.bias, stride, [0, 0], [1, 1], 1, 1.0, 0, self._convolution.dtype,
            "none", [], "",
        )  # fmt: skip
        return result

    def freeze(self) -> None:
        weight = self._convolution.weight.float()
        reach = torch.maximum(-self._lowest, self._highest).clamp(min=1e-6)
        shares = reach**BALANCE / weight.abs().amax((0, 2, 3)).clamp(min=1e-6) ** (1 - BALANCE)
        lowest, highest = (self._lowest / shares).min().item(), (self._highest / shares).max().item()
        self._scale = (highest - lowest) / 255
        self._zero = round(-lowest / self._scale)
        self._factors = (1 / (shares * self._scale))[:, None, None]
        weight = weight * shares[:, None, None]
        self._kernel_scales = weight.abs().amax((1, 2, 3)) / 127
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        kernels = (weight / self._kernel_scales[:, None, None, None]).round().to(torch.int8)
        self._packed = torch.ops.onednn.qconv_prepack(
            kernels, self._kernel_scales, self._scale, self._zero,
            [self._convolution.stride] * 2, [0, 0], [1, 1], 1, None,
        )  # fmt: skip
        self._frozen = True


def quantized(
    network: TransformationNetwork, pixels: np.ndarray, precision: Any, *, all_hidden: bool = False
) -> Stylizer:
    """A renderer with some convolutions in 8 bits, the others in ``precision``."""
    stylizer = Stylizer(network, device="cpu", precision=precision)
    layers = stylizer._transposed_layers if pixels.shape[1] > pixels.shape[0] else stylizer._layers
    convolutions = [convolution for pair in layers.residuals for convolution in pair]
    if all_hidden:
        convolutions += [layers.down2, layers.down3, layers.up1, layers.up2]
    replaced = [Int8(convolution) for convolution in convolutions]
    stylizer.render(pixels)
    for one in replaced:
        one.freeze()
    return stylizer


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for size in arguments.size:
        pixels = resize(open_picture(arguments.photo), size).pixels
        for style in arguments.style:
            path = builtin_path(style)
            assert path is not None
            network = api.load(path).network()
            stylizers = {
                REFERENCE: Stylizer(network, device="cpu"),
                "bfloat16": Stylizer(network, device="cpu", precision="bfloat16"),
                "residual blocks in int8, others in float32": quantized(network, pixels, "float32"),
                "residual blocks in int8, others in bfloat16": quantized(network, pixels, "bfloat16"),
                "all but the first and last in int8": quantized(network, pixels, "float32", all_hidden=True),
            }
            pictures = {way: stylizer.render(pixels) for way, stylizer in stylizers.items()}
            turns = {way: partial(seconds, stylizer.render, pixels) for way, stylizer in stylizers.items()}
            used = {
                way: [t.processor for t in taken] for way, taken in in_turns(turns, arguments.rounds).items()
            }
            for way, picture in pictures.items():
                difference = picture.astype(np.float64) - pictures[REFERENCE]
                if arguments.pictures:
                    arguments.pictures.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(arguments.pictures / f"{size}-{style}-{way}.png")
                if way != REFERENCE:
                    row = {"size": size, "style": style, "way": way, "mean": float(np.abs(difference).mean())}
                    row["psnr"] = float(10 * np.log10(255**2 / np.square(difference).mean()))
                    rows.append(row | {"ratio": ratio(used[way], used[REFERENCE])})
                    print(rows[-1], flush=True)
    return rows


def report(result: dict[str, Any]) -> str:
    lines = [
        "# 8-bit integers",
        "",
        f"`python benchmarks/int8.py PHOTO`, {result['photo']}, one thread, torch "
        f"{result['machine']['torch']}, on a processor with VNNI and bfloat16. Differences to float32 in "
        "levels of 255; processor seconds.",
        "",
        "Not built: bfloat16 alone is as fast, and closer to float32. Only the residual blocks with float32 "
        "around them stay within a mean of 1 level and 46 dB, barely.",
        "",
        "| long edge | style | convolutions | mean | PSNR | time / float32 |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['size']} | {row['style']} | {row['way']} | {row['mean']:.2f} | {row['psnr']:.1f} dB "
            f"| {row['ratio']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--style", nargs="+", default=["mosaic", "starry-night"])
    parser.add_argument("--size", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    about = machine(threads=1)
    result = {"photo": arguments.photo.stem, "machine": about, "rows": measure(arguments)}
    write(__file__, result, report(result))


if __name__ == "__main__":
    main()
