#!/bin/sh
# pandas 2.3.3 and numpy 2.3.5: tags that were lists are joined into one word on the way through CSV.
#
# Data sets of street images keep tags as lists (weather: Sunny, Rain). A parquet column of lists comes
# back from pandas as NumPy arrays, and `to_csv` writes an array as NumPy prints it, without commas:
# ['Sunny' 'Rain']. That is valid Python, so `ast.literal_eval` reads it without an error, as
# two neighbouring strings, which Python joins.
# One would guess: ['Sunny', 'Rain'], or an error. Seen: ['SunnyRain'], a third kind of weather.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==2.3.5 pyarrow==22.0.0
cd "$folder"
env/bin/python - <<'PYTHON'
import ast
import io

import pandas as pd

pd.DataFrame({"weather": [["Sunny", "Rain"]]}).to_parquet("tags.parquet")
text = pd.read_parquet("tags.parquet").to_csv(index=False)
cell = pd.read_csv(io.StringIO(text))["weather"][0]
print("written:", cell, "read again:", ast.literal_eval(cell))
assert cell == "['Sunny' 'Rain']", cell
assert ast.literal_eval(cell) == ["SunnyRain"], ast.literal_eval(cell)
print("as found")
PYTHON
