#!/bin/sh
# OpenVINO 2026.4.1: the output of a compiled int8 graph is named after a tensor inside it.
#
# A quantised graph in ONNX form (QuantizeLinear and DequantizeLinear around the operations) has one output,
# "grid". Read and converted, OpenVINO's model names it so, and one would guess that compiling keeps it.
# Seen: compiled for the processor the output has two names, that of an inner tensor with the same values
# first: get_any_name() gives the inner one. Code that takes outputs by that name works in float32 and does
# not find them in int8; asking for "grid" works in both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.3.5
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper


def graph(quantised):
    """Relu, with bytes around it or without."""
    relu = helper.make_node("Relu", ["before"], ["after"])
    if quantised:
        scale = ["scale", "zero"]
        nodes = [
            helper.make_node("QuantizeLinear", ["pixels", *scale], ["bytes"]),
            helper.make_node("DequantizeLinear", ["bytes", *scale], ["before"]),
            relu,
            helper.make_node("QuantizeLinear", ["after", *scale], ["more"]),
            helper.make_node("DequantizeLinear", ["more", *scale], ["grid"]),
        ]
    else:
        nodes = [helper.make_node("Relu", ["pixels"], ["grid"])]
    ends = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4])]
        for name in ("pixels", "grid")
    )
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
    ]
    made = helper.make_graph(nodes, "relu", *ends, constants if quantised else [])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


found = {}
for name in ("float32", "int8"):
    onnx.save(graph(name == "int8"), f"{name}.onnx")
    model = openvino.convert_model(f"{name}.onnx")
    compiled = openvino.Core().compile_model(model, "CPU")
    values = compiled(np.ones((1, 4), np.float32))["grid"]
    found[name] = (model.outputs[0].get_any_name(), compiled.outputs[0].get_any_name())
    print(name, "converted, compiled:", found[name], values.round(2).tolist())
assert found["float32"] == ("grid", "grid")
assert found["int8"] == ("grid", "before"), found
print("as found")
PYTHON
