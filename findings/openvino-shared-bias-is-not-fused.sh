#!/bin/sh
# OpenVINO 2026.4.1, processor: two convolutions that share a bias are run with the bias left over.
#
# A network that reads a picture at two sizes holds each weight once, and uses it twice. One would guess that
# sharing constants saves memory and costs nothing: convolution, bias and activation become one operation.
# Seen: with a bias of its own each convolution takes bias and activation in. Where two convolutions share
# the bias constant, neither does: bias and activation run as operations of their own (Subgraph), a pass
# over memory for each. Sharing the weights alone is harmless. Running a graph of one pass twice, or copies
# of the biases, avoids it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.3.5
cd "$folder"
env/bin/python - <<'PYTHON'
from collections import Counter

import numpy as np
import openvino
from openvino import opset13

random = np.random.default_rng(0)
core = openvino.Core()


def operations(share_weights, share_bias):
    """What two convolutions with activations become, on pictures of two sizes."""
    weights = opset13.constant(random.random((32, 16, 1, 1), dtype=np.float32))
    bias = opset13.constant(random.random((1, 32, 1, 1), dtype=np.float32))
    pictures, results = [], []
    for side in (64, 32):
        own_weights = weights if share_weights else opset13.constant(weights.data.copy())
        own_bias = bias if share_bias else opset13.constant(bias.data.copy())
        picture = opset13.parameter([1, 16, side, side], np.float32)
        made = opset13.convolution(picture, own_weights, [1, 1], [0, 0], [0, 0], [1, 1])
        results.append(opset13.clamp(opset13.add(made, own_bias), 0.0, 6.0))
        pictures.append(picture)
    model = openvino.Model(results, pictures)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = Counter(op.get_rt_info()["layerType"].value for op in compiled.get_runtime_model().get_ops())
    return kinds["Convolution"], kinds["Subgraph"] + kinds["Eltwise"]


found = {}
for share_weights in (False, True):
    for share_bias in (False, True):
        found[share_weights, share_bias] = operations(share_weights, share_bias)
        print(
            f"weights shared: {share_weights}, bias shared: {share_bias}: convolutions and "
            f"operations beside them {found[share_weights, share_bias]}"
        )
assert found[False, False] == found[True, False] == (2, 0), found
assert found[False, True][1] == found[True, True][1] == 2, found
print("as found")
PYTHON
