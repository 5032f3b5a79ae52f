#!/bin/sh
# A quantised ONNX graph (QDQ) whose convolution gives floats: OpenVINO 2026.4.1 multiplies bytes,
# ONNX Runtime 1.32.0 floats.
#
# Quantisers can leave the outputs of layers in floats (OpTypesToExcludeOutputQuantization), for accuracy:
# inputs and weights are bytes as before. One would guess that the product of bytes stays, with a float
# scale after it, on every engine that reads the graph.
# Seen: ONNX Runtime turns bytes to floats and convolves floats ("Conv"); with the output quantised
# too it runs QLinearConv. OpenVINO convolves bytes either way. So the same file is int8 on one engine and
# float32, with rounding on top, on the other, and neither says so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 openvino==2026.4.1 numpy==2.3.5
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

random = np.random.default_rng(0)
weights = numpy_helper.from_array(random.standard_normal((32, 16, 3, 3), dtype=np.float32), "weights")
graph = helper.make_graph(
    [helper.make_node("Conv", ["pixels", "weights"], ["made"], name="conv", pads=[1, 1, 1, 1])],
    "convolution",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 16, 32, 32])],
    [helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 32, 32, 32])],
    [weights],
)
opset = [helper.make_opsetid("", 20)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), "plain.onnx")


class Images:
    def __init__(self):
        self.left = iter([random.random((1, 16, 32, 32), dtype=np.float32) for _ in range(4)])

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"pixels": image}


found = {}
for kind, left_out in (("bytes", []), ("floats", ["Conv"])):
    file = f"{kind}.onnx"
    quantize_static(
        "plain.onnx",
        file,
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": left_out},
    )
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = f"optimised-{file}"
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    ran = {node.op_type for node in onnx.load(f"optimised-{file}").graph.node}
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (computed,) = (
        op.get_rt_info()["runtimePrecision"].value
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].value == "Convolution"
    )
    found[kind] = ("QLinearConv" in ran, computed)
    print(f"output in {kind}: ONNX Runtime runs {sorted(ran)}; OpenVINO convolves {computed}")
assert found["bytes"][0] and not found["floats"][0], found
assert {computed for _, computed in found.values()} <= {"u8", "i8"}, found
print("as found")
PYTHON
