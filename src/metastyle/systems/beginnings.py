"""Where trained parts begin: as close to what is published as their shapes allow."""

from __future__ import annotations

import torch
from torch import nn

from metastyle.core.initialization import Initialization
from metastyle.systems.avatar_net import Hourglass
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.vgg19 import Decoder


def begin_with(decoder: Decoder, published: Decoder) -> None:
    """Copy the convolutions that both decoders have in one shape.

    Not the first one of another level's: what it gets are features of the encoder, and what the same
    convolution of the published decoder gets are that decoder's own.
    """
    own = decoder.state_dict()
    first = "" if decoder.level == published.level else f"conv{decoder.level}_1."
    shared = {
        name: t
        for name, t in published.state_dict().items()
        if name in own and own[name].shape == t.shape and not (first and name.startswith(first))
    }
    decoder.load_state_dict(shared, strict=False)
    if isinstance(decoder, Hourglass):
        # Its two last convolutions begin as one: what conv1_1 gets is never negative, so identity and ReLU
        # pass it on, and the published 3 x 3 convolution to the picture is the middle of the 7 x 7 one.
        last = published.state_dict()
        with torch.no_grad():
            for parameter in (*decoder.conv1_1.parameters(), *decoder.output.parameters()):
                parameter.zero_()
            nn.init.dirac_(decoder.conv1_1.weight)
            decoder.output.weight[:, :, 2:5, 2:5] = last["conv1_1.weight"]
            decoder.output.load_state_dict({"bias": last["conv1_1.bias"]}, strict=False)


def begin_with_initialization(meta: MetaNetwork, initialization: Initialization) -> None:
    """Begin at theta's filters for every painting, with hidden units that see standardized statistics.

    The linear maps begin at zero, as Psi's does: what depends on the painting is learned from there.
    """
    theta = initialization.network.state_dict()
    meta.load_state_dict(
        {n: t for n, t in theta.items() if n.split(".")[0] in ("down1", "out")}, strict=False
    )
    predictor = initialization.predictor
    with torch.no_grad():
        for name, linear in zip(meta.generated, meta.maps, strict=True):
            assert isinstance(linear, nn.Linear)
            linear.weight.zero_()
            linear.bias.copy_(torch.cat([theta[f"{name}.weight"].flatten(), theta[f"{name}.bias"]]))
        if predictor is not None:
            meta.hidden.weight.div_(predictor.std)
            meta.hidden.bias.sub_(meta.hidden.weight @ predictor.mean)
