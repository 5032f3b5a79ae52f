"""What comes with workzone: a bundle that is whole, small, and says what it learned from."""

from __future__ import annotations

import json

from workzone.decide.bundle import default_model, read_bundle


def test_the_default_model_is_whole_and_small() -> None:
    folder = default_model()
    bundle = read_bundle(folder)
    assert bundle.spec.backbone == "lite0"
    assert bundle.provenance["inputs"] == "image only"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000


def test_its_card_names_every_kind_of_data() -> None:
    folder = default_model()
    card = (folder / "MODEL_CARD.md").read_text()
    for source in ("Mi3-Lab/workzone", "anuragxel/roadwork-dataset", "biankatpas", "COCO"):
        assert source in card
    rows = json.loads((folder / "bundle.json").read_text())["provenance"]["rows"]
    assert f"{rows:,}" in card
