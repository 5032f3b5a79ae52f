"""What the docs say was measured is what the records of the benchmarks hold."""

from __future__ import annotations

import importlib
import json
import runpy
from pathlib import Path

import pytest
import safetensors.torch
import torch

from workzone.backbones.efficientnet_lite import EfficientNetLite
from workzone.backbones.lite import folded, load_lite
from workzone.backbones.names import LITE0
from workzone.data.manifest import read_manifest
from workzone.scenes import write_scenes

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("script", "function", "name", "page"),
    [
        ("ablation_tables", "tables", "ablation", "experiments/ablation.md"),
        ("optimizer_table", "tables", "optimizers", "experiments/optimizers.md"),
        ("copies_tables", "challenge_tables", "copies", "experiments/augmentation.md"),
        ("copies_tables", "stored_features_table", "copies", "experiments/augmentation.md"),
        ("adapters_table", "tables", "adapters", "experiments/adapters.md"),
        ("accuracy_tables", "tables", "accuracy", "judge/accuracy.md"),
        ("false_alarms_table", "table", "false_alarms", "judge/accuracy.md"),
        ("small_things_table", "tables", "small_things", "judge/accuracy.md"),
        ("hard_negatives_table", "table", "hard_negatives", "experiments/recipe.md"),
        ("lookalikes_table", "table", "lookalikes", "train/data.md"),
        ("accuracy_tables", "challenge_table", "accuracy_224", "experiments/recipe.md"),
        ("accuracy_tables", "larger_table", "accuracy_dense2", "experiments/recipe.md"),
        ("accuracy_tables", "self_training_table", "self_training", "experiments/recipe.md"),
        ("pasted_table", "table", "pasted", "experiments/recipe.md"),
        ("squares_table", "table", "accuracy_224", "experiments/recipe.md"),
        ("engines_table", "table", "engines", "score/engines.md"),
        ("masks_table", "table", "masks", "score/objects.md"),
        ("masks_table", "boxes_table", "masks_boxes", "score/objects.md"),
        ("wires", "table", "wires", "mining.md"),
        ("drives_table", "tables", "drives", "score/drives.md"),
        ("map_events_table", "tables", "map_events", "map.md"),
        ("map_page_table", "table", "map_page", "map.md"),
    ],
)
def test_the_documented_tables_are_those_of_the_record(
    script: str, function: str, name: str, page: str
) -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    tables = runpy.run_path(str(ROOT / "benchmarks" / f"{script}.py"))[function]
    documented = (ROOT / "docs" / page).read_text()
    missing = [line for line in tables(record["results"]).splitlines() if line not in documented]
    assert missing == []
    assert record["command"] in documented


def test_the_readme_shows_the_recorded_accuracy() -> None:
    results = ROOT / "benchmarks" / "results"
    accuracy, peers = (
        json.loads((results / f"{name}.json").read_text())["results"]
        for name in ("accuracy", "peers")
    )
    table = runpy.run_path(str(ROOT / "benchmarks" / "accuracy_tables.py"))["readme_table"]
    assert table(accuracy, peers) in (ROOT / "README.md").read_text()


def test_the_backbone_learns_from_tiles_and_its_start_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    trunk = importlib.import_module("trunk")
    scenes = read_manifest(write_scenes(tmp_path / "scenes", count=2, positive_share=1.0))
    network = trunk.learn({"scenes": scenes}, tiles=4, batch=2, seed=0)
    trunk.write_weights(network, tmp_path)
    learned, published = folded(EfficientNetLite()), load_lite(LITE0).model.state_dict()
    state = safetensors.torch.load_file(tmp_path / "backbone.safetensors")
    learned.load_state_dict({name: value.float() for name, value in state.items()})
    moved = {
        name: not torch.equal(value, published[name].half().float())
        for name, value in learned.state_dict().items()
    }
    start = ("conv_stem", "blocks.0.", "blocks.1.")
    assert not any(change for name, change in moved.items() if name.startswith(start))
    own = [change for name, change in moved.items() if not name.startswith(start)]
    assert sum(own) > 0.7 * len(own)  # what moved less than 16 bits tell stays


def run_script(monkeypatch: pytest.MonkeyPatch, name: str, output: Path, *options: str) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = ROOT / "benchmarks" / name
    monkeypatch.setattr("sys.argv", [str(script), "-o", str(output), *options])
    runpy.run_path(str(script), run_name="__main__")


def test_the_gpu_benchmark_runs_in_its_tiny_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_script(monkeypatch, "huge.py", tmp_path / "huge.json", "--tiny")
    results = json.loads((tmp_path / "huge.json").read_text())["results"]
    rows = results["rows"]
    whats = ("extraction", "training huge", "training huge-moe")
    assert [(row["what"], row["compiled"]) for row in rows] == [
        (what, compiled) for what in whats for compiled in (False, True)
    ]
    # One layer of width D over 4 patches, a class token and 4 registers, of 12 views.
    width, patches, tokens = 64, 4, 9
    embedding = patches * 3 * 16 * 16 * width
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    feed_forward = 3 * tokens * width**2  # SwiGLU
    flops = 12 * 2 * (embedding + attention + feed_forward)
    for row in rows:
        per_call = row["FLOP/s"] * row["milliseconds per call"] / 1e3
        if row["what"] == "extraction":
            assert per_call == pytest.approx(flops)
            assert row["attention"] == "torch"
        rate = results["matrix FLOP/s, bfloat16"]
        assert row["share of the matrix rate"] == pytest.approx(row["FLOP/s"] / rate)
        images = 1 if row["what"] == "extraction" else 2
        assert row["images per second"] * row["milliseconds per call"] == pytest.approx(
            1e3 * images
        )
    assert "built-in kernels" in results["attention"]


def test_the_gpu_benchmark_measures_nothing_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device: nothing measured"):
        run_script(monkeypatch, "huge.py", tmp_path / "huge.json")
    assert not (tmp_path / "huge.json").exists()


def test_the_benchmark_of_weights_runs_in_its_tiny_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    try:
        run_script(monkeypatch, "quantisation.py", tmp_path / "small.json", "--tiny")
    finally:
        torch.set_num_threads(threads)
    results = json.loads((tmp_path / "small.json").read_text())["results"]
    plain, eight, four = (
        [row for row in results["backbones"]["tiny"] if row["weights"] == name]
        for name in ("floats", "int8-weights", "nf4-weights")
    )
    for rows, cosine in ((plain, 0.999), (eight, 0.999), (four, 0.95)):
        assert [row["computes in"] for row in rows] == ["float32", "bfloat16"]
        assert all(row["cosine, least"] > cosine for row in rows)
        assert all(row["core milliseconds per image"] > 0 for row in rows)
    # Twelve matrices of 128 x 128. Bytes with a float32 scale and a zero of one byte per row; four
    # bits with a scale of one byte per 64, and in float32 a scale of those, their mean, 16 levels.
    weights, rows = 128 * 128, 128
    matrices = [4 * weights, weights + 5 * rows, weights // 2 + weights // 64 + 4 * (1 + 1 + 16)]
    sizes = [round(1e6 * form[0]["megabytes"]) for form in (plain, eight, four)]
    assert [sizes[0] - size for size in sizes] == [12 * (matrices[0] - held) for held in matrices]
    assert [row["computes in"] for row in results["int4 layer"]] == ["float32", "bfloat16"]
