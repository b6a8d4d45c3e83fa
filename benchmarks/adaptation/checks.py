"""Three small figures that the page quotes, printed.

python benchmarks/adaptation/checks.py inner --photos FILE FILE --paintings FILE ...    an inner step
python benchmarks/adaptation/checks.py gatys --photos FILE --paintings FILE             L-BFGS
python benchmarks/adaptation/checks.py start --photos FILE FILE --paintings FILE ...    before any step
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

from metastyle.baselines.gatys import Gatys
from metastyle.benchmark.adaptation import evaluate, square
from metastyle.core.bilevel import MetaObjective
from metastyle.core.losses import style_target
from metastyle.media.images import open_picture, resize, to_tensor
from metastyle.weights.initialisation import load_initialisation
from metastyle.weights.loss_network import load_loss_network

DELTAS = (1e-5, 1e-4, 1e-3, 1e-2)
EVALUATIONS = (1, 20, 40, 60, 80, 100, 150, 200, 300)
SIZE, STYLE_SIZE = 96, 512


def inner(photos: Tensor, paintings: list[Path]) -> None:
    """The loss of the shipped start on ``photos`` after one plain gradient step, relative to before."""
    loss_network, (initialisation, _) = load_loss_network(), load_initialisation()
    print("| painting | before |", " | ".join(f"δ = {d:g}" for d in DELTAS), "|")
    for path in paintings:
        target = style_target(loss_network, to_tensor(resize(open_picture(path), STYLE_SIZE).pixels))
        losses = []
        for delta in (None, *DELTAS):
            steps, size = (0, 1.0) if delta is None else (1, delta)
            objective = MetaObjective(
                initialisation, loss_network, inner_steps=steps, step_size=size, second_order=False
            )
            initialisation.requires_grad_()
            losses.append(objective(photos, [target], photos).total.item())
        before, *after = losses
        print(f"| {path.stem} | {before:.3f} |", " | ".join(f"{x / before - 1:+.4%}" for x in after), "|")


@torch.no_grad()
def start(photos: Tensor, paintings: list[Path], model: Path | None) -> None:
    """Geometric means over paintings: the loss of w_0, and of that relative to untouched photographs."""
    loss_network, (initialisation, _) = load_loss_network(), load_initialisation(model)
    logarithms = []
    for path in paintings:
        target = style_target(loss_network, to_tensor(resize(open_picture(path), STYLE_SIZE).pixels))
        w0 = initialisation.start(target)
        total, *_ = evaluate(
            partial(functional_call, initialisation.network, w0), loss_network, photos, target
        )
        untouched, *_ = evaluate(lambda photo: photo, loss_network, photos, target)
        logarithms.append((math.log(total), math.log(total / untouched)))
    means = [math.exp(sum(column) / len(paintings)) for column in zip(*logarithms, strict=True)]
    print(f"{len(paintings)} paintings: {means[0]:.2f}, {means[1]:.3f} of that of untouched photographs")


def gatys(photo: Tensor, painting: Path) -> None:
    """The smallest loss so far by evaluations of the loss."""
    seen: list[float] = []
    system = Gatys(load_loss_network(), 300, lambda _, loss: seen.append(loss))
    system.prepare(to_tensor(resize(open_picture(painting), STYLE_SIZE).pixels))(photo)
    for count in EVALUATIONS:
        print(f"{count} evaluations: {min(seen[:count]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("check", choices=("inner", "gatys", "start"))
    parser.add_argument("--model", type=Path, help="initialisation of ``start``; without it, the shipped one")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--paintings", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    photos = torch.cat([square(open_picture(path), SIZE) for path in arguments.photos])
    if arguments.check == "inner":
        inner(photos, arguments.paintings)
    elif arguments.check == "start":
        start(photos, arguments.paintings, arguments.model)
    else:
        gatys(photos[:1], arguments.paintings[0])


if __name__ == "__main__":
    main()
