"""What the benchmarks of accuracy count, and what they learn from."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workzone.types import ImageRef, Sample

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    """A benchmark's file."""
    return importlib.import_module(name)


def made_run(fold: str, seed: int | str, logits: list[float], labels: list[int]) -> dict[str, Any]:
    groups = [f"{fold}-{number}" for number in range(len(labels))]
    part = {"8 to 16 px": {"photographs": 3, "found": 2}}
    return {
        "seed": seed,
        "left_out": fold,
        "logits": logits,
        "labels": labels,
        "groups": groups,
        "by height": {"512 px": part},
    }


def test_a_journal_goes_on_after_a_line_that_was_cut_off(tmp_path: Path, capsys: Any) -> None:
    journal, path = module("journal"), tmp_path / "done.jsonl"
    assert journal.read_journal(path) == []
    journal.append(path, {"seed": 0})
    with path.open("a") as file:
        file.write('{"seed": 1')
    assert journal.read_journal(path) == [{"seed": 0}]
    assert "cut off" in capsys.readouterr().out
    journal.append(path, {"seed": 2})
    assert journal.read_journal(path) == [{"seed": 0}, {"seed": 2}]
    path.write_text("{}\nnot json\n{}\n")
    with pytest.raises(SystemExit, match=r"done\.jsonl, line 2: .*delete the line"):
        journal.read_journal(path)


def test_a_work_folder_is_of_one_run(tmp_path: Path) -> None:
    bind = module("journal").bind
    bind(tmp_path / "work", {"preset": "dense", "features": "ab"})
    bind(tmp_path / "work", {"preset": "dense", "features": "ab"})
    with pytest.raises(SystemExit, match=r"features: ab -> cd\); name another --work"):
        bind(tmp_path / "work", {"preset": "dense", "features": "cd"})


def test_composites_are_equally_many_after_a_source_is_left_out() -> None:
    recipe = module("recipe")
    groups = {"us-1": 8, "web-1": 1, "coco-1": 5}
    starts = recipe.FOLDS["us"][0]
    names = {"us-1": f"{starts}1", "web-1": "web-1", "coco-1": "coco-1"}
    samples = [
        Sample(
            id=f"{source}-{group}-{number}",
            image=ImageRef(path="a.jpg"),
            label=1,
            group=names[group],
            source=source,
        )
        for source, share in (("composite", 1), ("rendered", 2), ("photos", 1), ("scenes", 1))
        for group, count in groups.items()
        for number in range(count if source != "rendered" else share)
    ]
    allowed = {names["us-1"], "coco-1"}

    def kinds(pasted: str) -> dict[str, int]:
        rows = recipe.learned_from(samples, allowed, "us", pasted)
        assert (np.diff(rows) > 0).all()
        found = [samples[row] for row in rows]
        assert not any(s.group == names["us-1"] for s in found)
        assert {s.group for s in found if s.source != "scenes"} == {"coco-1"}
        return {
            source: sum(s.source == source for s in found)
            for source in ("composite", "rendered", "photos")
        }

    assert kinds("all") == {"composite": 5, "rendered": 2, "photos": 5}
    assert kinds("drawn") == {"composite": 2, "rendered": 0, "photos": 5}
    assert kinds("rendered") == {"composite": 0, "rendered": 2, "photos": 5}
    assert kinds("both") == {"composite": 1, "rendered": 1, "photos": 5}


def test_photographs_found_are_counted_once_for_each_fold() -> None:
    figures = module("accuracy_figures")
    runs = [made_run(fold, seed, [1.0], [1]) for fold in ("us", "web") for seed in (0, 1)]
    found = figures.found_by_height(runs)["512 px"]["8 to 16 px"]
    assert found == {"photographs": 6, "found": 4}


def test_intervals_of_shares_are_over_groups() -> None:
    share = module("accuracy_figures").share_of_groups
    decided = np.array([1.0] * 10 + [0.0] * 10)
    alone = share(decided, np.array([str(n) for n in range(20)]))
    together = share(decided, np.array(["a"] * 10 + ["b"] * 10))
    assert alone["share"] == together["share"] == 0.5
    assert together["interval"] == [0, 1]
    assert 0.2 < alone["interval"][0] < 0.5 < alone["interval"][1] < 0.8
    assert share(decided, np.array(["a"] * 20)) == {"share": 0.5, "interval": None}


def test_signs_are_judged_by_their_height_and_drawn_by_groups() -> None:
    table = module("object_sizes").sign_table
    heights = np.array([10.0, 12.0, 20.0, 20.0])
    scores = np.array([2, -1, -3, 1, 1, 0, 2, 0], np.float64)
    found = table(heights, ["a", "a", "b", "c"], scores)
    assert found["8 to 16 px"]["pairs"] == 2
    assert found["8 to 16 px"]["auc"] == 0.5
    assert found["8 to 16 px"]["interval"] == [0.5, 0.5]  # one group
    assert found["16 to 32 px"] == {
        "pairs": 2,
        "auc": 1.0,
        "interval": [1.0, 1.0],
        "found": 1.0,
        "false alarms": 0.0,
    }
    assert found["32 to 64 px"] == {"pairs": 0}


def test_a_cut_lets_few_ordinary_photographs_through_or_says_nothing() -> None:
    conformal = module("cut").conformal
    logits = np.linspace(-3, 3, 200)[:, None]
    cut = conformal(logits, np.zeros(200, np.int64))
    assert 0.02 <= (cut(logits) > 0).mean() <= 0.03
    few = conformal(logits[:10], np.zeros(10, np.int64))
    assert not (few(logits) > 0).any()


def test_one_logit_is_cut_as_the_shipped_model_is() -> None:
    cut, figures = module("cut"), module("accuracy_figures")
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    logits = random.normal(labels * 2.0 - 0.5)
    calibration = figures.calibration_of([{"logits": logits, "labels": labels}])
    decided = cut.logistic([0])(logits[:, None], labels)(logits[:, None]) > 0
    expected = calibration.apply(1 / (1 + np.exp(-logits))) > 0.5
    assert (decided == expected).mean() > 0.99


def test_a_tiles_masks_lie_where_its_objects_are() -> None:
    tiles = module("tiles")
    pixels, masks = np.full((400, 600, 3), 60, np.uint8), np.zeros((400, 600), np.uint8)
    pixels[200:280, 300:360], masks[200:280, 300:360] = 230, 1 << 2
    box = (300 / 600, 200 / 400, 360 / 600, 280 / 400)
    picture, random, shown = tiles.Picture(pixels, masks, (box,)), np.random.default_rng(0), 0
    for _ in range(40):
        tile, covered = tiles.draw_tile(picture, random)
        assert (tile.shape, covered.shape) == ((192, 192, 3), (6, 192, 192))
        assert not np.delete(covered, 2, axis=0).any()
        inside, outside = covered[2] > 0.9, covered[2] < 0.1
        if inside.sum() < 50 or outside.sum() < 50:
            continue
        shown += 1
        bright = tile.mean(axis=-1)
        middle = (bright[inside].mean() + bright[outside].mean()) / 2
        overlap = ((bright > middle) & (covered[2] > 0.5)).sum() / (
            (bright > middle) | (covered[2] > 0.5)
        ).sum()
        assert overlap > 0.6  # noise and a distorted edge take the rest
    assert shown > 20


def test_work_zones_are_found_by_the_height_of_their_tallest_thing(tmp_path: Path) -> None:
    small, manifests = module("small_things"), importlib.import_module("workzone.data.manifest")
    things = [
        [("cone", 0.1), ("sign", 0.05), ("parking cone", 0.9)],
        [("cone", 0.2)],
        [("parking cone", 0.9)],
    ]
    samples = []
    for number, placed in enumerate(things):
        Image.new("RGB", (300, 200)).save(tmp_path / f"{number}.jpg")
        objects = [{"class": kind, "box": [0.0, 0.0, 0.1, tall]} for kind, tall in placed]
        (tmp_path / "objects").mkdir(exist_ok=True)
        (tmp_path / "objects" / f"{number}.json").write_text(json.dumps({"objects": objects}))
        label = int(any(kind != "parking cone" for kind, _ in placed))
        image = ImageRef(path=f"{number}.jpg")
        samples.append(Sample(id=str(number), image=image, label=label, group=f"g{number}"))
    made = manifests.Manifest(samples, tmp_path)
    sizes = module("object_sizes")
    assert sizes.tallest(made).tolist() == [20.0, 40.0, 0.0]
    assert sizes.sign_heights(made).tolist() == [10.0, 0.0]
    table = small.zone_table(made, np.array([1.0, -1.0, 2.0]))
    assert table["8 to 16 px"] == {"pictures": 0}
    assert table["16 to 32 px"] == {"pictures": 1, "share": 1.0, "interval": None}
    assert table["32 to 64 px"] == {"pictures": 1, "share": 0.0, "interval": None}
    assert table["ordinary things"] == {"pictures": 1, "share": 1.0, "interval": None}


def test_what_mining_and_look_alikes_bring_is_of_the_same_photographs() -> None:
    hard = module("hard_negatives")
    labels, first = [1, 1, 0, 0], [1.0, -1.0, 1.0, -1.0]
    before = [made_run(fold, 0, first, labels) for fold in ("us", "web", "br")]
    after = [run | {"logits": [1.0, 1.0, -1.0, -1.0]} for run in before]
    for run in (*before, *after):
        found = hard.at_half(np.array(run["labels"]), np.array(run["logits"]))
        run["figures"] = {"auc": 0.5, "mcc": found}
    found = hard.summary(after, before)
    assert found["means"] == {"auc": 0.5, "mcc": 1.0, "false alarms": 0.0}
    assert found["less as it is"]["mcc"]["mean"] == 1.0
    assert found["less as it is"]["false alarms"]["mean"] == -0.5
    assert "less as it is" not in hard.summary(before, before)
    assert hard.summary(before, before)["us"]["false alarms"] == 0.5


def test_look_alikes_are_learned_from_where_they_are_compared_alone() -> None:
    hard = module("hard_negatives")
    samples = [
        Sample(id=str(n), image=ImageRef(path="a.jpg"), label=0, group=group, source=source)
        for n, (group, source) in enumerate(
            [("coco-1", "photos"), ("coco-1", "look-alikes"), ("tracon", "look-alikes")]
        )
    ]
    rows = {kind: hard.rows_of(samples, {"coco-1", "tracon"}, "web", kind) for kind in hard.KINDS}
    assert {kind: found.tolist() for kind, found in rows.items()} == {
        "as it is": [0],
        "look-alikes": [0, 1],  # not in a street of the source left out
        "mined": [0],
    }


def test_only_the_kind_that_is_compared_changes_what_is_drawn(tmp_path: Path) -> None:
    hard, scores = module("hard_negatives"), tmp_path / "scores.csv"
    plain, alike, mined = (hard.config_of(1, kind, scores) for kind in hard.KINDS)
    assert "rendered" not in plain.sampling.source_weights  # no such rows
    assert alike.sampling.source_weights == plain.sampling.source_weights | {"look-alikes": 0.5}
    assert (mined.sampling.hard_examples, mined.sampling.hardness) == (str(scores), 9.0)
    assert dataclasses.replace(alike, sampling=plain.sampling) == plain
    assert dataclasses.replace(mined, sampling=plain.sampling) == plain
