#!/bin/sh
# Pillow 12.0.0: of TIFFs in which white is 0, those of 8 bits are turned round, those of 16 bits are not.
#
# Scanned and thermal street images come as TIFF with PhotometricInterpretation 0 (WhiteIsZero).
# One would guess that a reader treats a photometric interpretation alike at every depth.
# Seen: the same picture, nearly white, is read as 245 of 255 in 8 bits, and as its negative in 16 bits.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.0.0 tifffile==2025.10.16 numpy==2.3.5
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

for kind, value in ((np.uint8, 10), (np.uint16, 10 * 257)):  # nearly white, where white is 0
    tifffile.imwrite("a.tif", np.full((16, 16), value, kind), photometric="miniswhite")
    with Image.open("a.tif") as image:
        seen = int(np.asarray(image)[0, 0])
    print(kind.__name__, "stored", value, "read", seen)
    assert seen == (245 if kind is np.uint8 else 2570), seen
print("as found")
PYTHON
