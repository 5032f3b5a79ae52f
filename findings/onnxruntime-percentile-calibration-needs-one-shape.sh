#!/bin/sh
# ONNX Runtime 1.32.0, static quantisation: of images of several shapes ranges are measured by MinMax alone.
#
# A graph whose sides are free takes calibration images of any shape, one at a time, and each method needs
# no more of an activation than its values. One would guess that methods can be exchanged.
# Seen: MinMax measures; Percentile, Entropy and Distribution, after all images were run, end in numpy's
# "inhomogeneous shape" (ValueError), since they stack the activations of all images. Images of one shape do.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.3.5
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, quantize_static

random = np.random.default_rng(0)
weights = numpy_helper.from_array(random.random((4, 3, 1, 1), dtype=np.float32), "weights")
graph = helper.make_graph(
    [
        helper.make_node("Conv", ["pixels", "weights"], ["made"], name="conv"),
        helper.make_node("Relu", ["made"], ["seen"], name="relu"),
    ],
    "any shape",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, "rows", "columns"])],
    [helper.make_tensor_value_info("seen", TensorProto.FLOAT, [1, 4, "rows", "columns"])],
    [weights],
)
opset = [helper.make_opsetid("", 20)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), "plain.onnx")


class Images:
    """As the quantiser asks for them."""

    def __init__(self, shapes):
        self.left = iter([random.random((1, 3, *shape), dtype=np.float32) for shape in shapes])

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"pixels": image}


found = {}
for name in ("MinMax", "Percentile", "Entropy", "Distribution"):
    for kind, shapes in (("one shape", [(16, 24)] * 4), ("two shapes", [(16, 24), (24, 16)] * 2)):
        try:
            method = getattr(CalibrationMethod, name)
            quantize_static("plain.onnx", "bytes.onnx", Images(shapes), calibrate_method=method)
            found[name, kind] = "measured"
        except ValueError as error:
            found[name, kind] = "inhomogeneous" if "inhomogeneous" in str(error) else str(error)
        print(f"{name}, images of {kind}: {found[name, kind]}")
assert found["MinMax", "two shapes"] == "measured"
for name in ("Percentile", "Entropy", "Distribution"):
    assert found[name, "one shape"] == "measured", found
    assert found[name, "two shapes"] == "inhomogeneous", found
print("as found")
PYTHON
