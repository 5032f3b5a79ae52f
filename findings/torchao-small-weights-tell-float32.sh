#!/bin/sh
# torchao 0.18.0 with torch 2.15.0: weights in 8 and 4 bits tell the size that they had in float32.
#
# quantize_ replaces the weight of each linear layer by a tensor class of its own. One would guess that dtype,
# nbytes and numel x element_size tell what it takes now, and that four bits take half of what eight do.
# Seen: of a layer in 8 bits all three tell float32's figures (four times too much); only the plain tensors
# inside, which __tensor_flatten__ names, tell the truth. IntxWeightOnlyConfig with int4 holds a byte for each
# weight: as large as in 8 bits. Summing over parameters shows no saving where there is one, and a configuration
# named after four bits is no smaller than one of eight.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 torchao==0.18.0 numpy==2.3.5
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import torch
from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerAxis


def held(tensor):
    """Bytes of the plain tensors within."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.untyped_storage().nbytes()
    return sum(held(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])


found = {}
for name, config in {
    "float32": None,
    "int8": Int8WeightOnlyConfig(),
    "int4 by Intx": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerAxis(0)),
}.items():
    layer = torch.nn.Sequential(torch.nn.Linear(384, 384, bias=False))
    if config is not None:
        quantize_(layer, config)
    weight = layer[0].weight
    told = (weight.dtype, weight.nbytes, weight.numel() * weight.element_size())
    found[name] = (*told, held(weight.data if config is None else weight))
    print(f"{name}: dtype, nbytes, numel x element_size {told}, bytes held {found[name][-1]:,}")
assert len({row[:3] for row in found.values()}) == 1, found
floats, eight, four = (found[name][-1] for name in found)
assert 3.9 < floats / eight < 4.1 and abs(four - eight) < 0.05 * eight, found
print("as found")
PYTHON
