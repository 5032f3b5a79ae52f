#!/bin/sh
# torch 2.15.0: torch.export fixes the batch size of `take_along_dim`, and not that of `gather`.
#
# Both pick values along a dimension by an index. `take_along_dim` broadcasts its two tensors first, and
# one would guess that this changes nothing where their other dimensions are alike.
# Seen: exported with both batch dimensions under one symbol, `take_along_dim` is refused ("specialized it
# to be a constant"), and with Dim.AUTO it is exported without a word and runs at the example's batch size
# alone; `gather` takes any. A model that chooses some of an image's views meets this when it is served.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.3.5
"$folder/env/bin/python" - <<'PYTHON'
import torch
from torch.export import Dim, export


class TakeAlongDim(torch.nn.Module):
    def forward(self, values, index):
        return torch.take_along_dim(values, index, dim=1)


class Gather(torch.nn.Module):
    def forward(self, values, index):
        return values.gather(1, index)


example = torch.rand(2, 5), torch.tensor([[0, 1], [3, 4]])
larger = torch.rand(7, 5), torch.zeros(7, 2, dtype=torch.int64)


def tried(module, dim):
    shapes = {name: {0: dim} for name in ("values", "index")}
    try:
        program = export(module, example, dynamic_shapes=shapes).module()
    except torch._dynamo.exc.UserError as error:
        return "refused: " + str(error).splitlines()[1].strip()[:80]
    try:
        return f"runs on a batch of {len(program(*larger))}"
    except AssertionError as error:
        return f"exported, and then: {error}"


found = {
    (type(module).__name__, name): tried(module, dim)
    for module in (TakeAlongDim(), Gather())
    for name, dim in (("one symbol", Dim("batch", min=1, max=64)), ("Dim.AUTO", Dim.AUTO))
}
for case, outcome in found.items():
    print(*case, "->", outcome)
assert found["TakeAlongDim", "one symbol"].startswith("refused: ")
assert found["TakeAlongDim", "Dim.AUTO"].startswith("exported, and then: Guard failed")
assert found["Gather", "one symbol"] == found["Gather", "Dim.AUTO"] == "runs on a batch of 7"
print("as found")
PYTHON
