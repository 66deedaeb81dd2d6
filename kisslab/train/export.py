"""Networks as ONNX files with half-size weights. (plain, settled, fused, export, halved)"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.fusion import fuse_conv_bn_eval

SMALLEST = 64  # numbers; smaller tensors stay as they are


def plain(net: nn.Module, trained: nn.Module) -> nn.Module:
    """The trained weights in `net`: accelerate leaves its mixed precision on what it trained."""
    net.load_state_dict({name: value.cpu() for name, value in trained.state_dict().items()})
    return net


def settled(net: nn.Module, batches: list[torch.Tensor]) -> nn.Module:
    """Normalisation statistics of the averaged weights: training kept those of the last ones."""
    layers = [m for m in net.modules() if isinstance(m, _NormBase)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # plain mean over all batches
    net.train()
    with torch.no_grad():
        for batch in batches:
            net(batch)
    return net.eval()


def fused(net: nn.Module) -> nn.Module:
    """A copy whose normalisations are part of the convolutions before them."""
    net = deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            for k, (first, second) in enumerate(pairwise(list(module))):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[k], module[k + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return net


def export(net: nn.Module, example: torch.Tensor, path: Path, names: list[str]) -> None:
    """Write `net` as one ONNX file with inputs as large as `example` and weights as float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(net, (example,), input_names=["input"], output_names=names,
                                dynamo=True, opset_version=18)  # fmt: skip
    model = halved(program.model_proto)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights as float16, cast where they are used; runtimes fold the casts when they load."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        name = tensor.name
        half = numpy_helper.from_array(
            numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"
        )
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    return model
