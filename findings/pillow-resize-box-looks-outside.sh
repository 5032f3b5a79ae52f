#!/bin/sh
# Pillow 12.0.0: resize(box=...) reads pixels outside the box.
#
# Views of a street frame are cut and resized. `image.resize(size, BILINEAR, box=box)` saves the copy that
# `image.crop(box).resize(size, BILINEAR)` makes.
# One would guess that both give the same picture, the more so for a box of whole pixels.
# Seen: along the box's edges the filter takes in what lies beyond: here a black square beside a white
# one comes out lighter at the edge. Stored features of one and views of the other do not agree.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.0.0
"$folder/env/bin/python" - <<'PYTHON'
from PIL import Image

image = Image.new("L", (64, 32), 255)
image.paste(0, (0, 0, 32, 32))  # the left half is black
box, size = (0, 0, 32, 32), (8, 8)
boxed = image.resize(size, Image.Resampling.BILINEAR, box=box)
cropped = image.crop(box).resize(size, Image.Resampling.BILINEAR)
rows = [[picture.getpixel((x, 4)) for x in range(8)] for picture in (boxed, cropped)]
print("with box:  ", rows[0])
print("with crop: ", rows[1])
assert rows[1] == [0] * 8, rows[1]
assert rows[0][:7] == [0] * 7 and rows[0][7] > 20, rows[0]
print("as found")
PYTHON
