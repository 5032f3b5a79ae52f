from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import workzone
from told import HashModel, told_bundle
from trained import Tiny
from workzone.cli import app
from workzone.cli import evaluate as module
from workzone.data.manifest import write_manifest
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.bundle_json import shipped_bundle
from workzone.features import text_model
from workzone.run import evaluate as job

runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"})

LEAK = "The model was fed with daytime, which gives the label away: AUC 1.000."


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "RESAMPLES", 20)


@pytest.fixture
def bundle(tiny: Tiny) -> Bundle:
    return read_bundle(tiny.bundle)


def evaluate(tiny: Tiny, manifest: Path, model: Path, *more: object) -> Result:
    folder = model.parent / "report"
    arguments = ("evaluate", manifest, "--model", model, "-o", folder, "--store", tiny.store, *more)
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_image_alone_is_shown_first(tiny: Tiny, bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(told_bundle(bundle), tmp_path / "model")
    text = evaluate(tiny, tiny.manifest_path, tmp_path / "model").stdout
    assert 0 <= text.index("Image only") < text.index("With metadata")
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert figures["with_metadata"]["rows"] == figures["image_only"]["rows"] == 14
    assert list(figures)[1:3] == ["image_only", "with_metadata"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert 0 <= page.index("image alone</th>") < page.index("with metadata</th>")
    again = evaluate(tiny, tiny.manifest_path, tmp_path / "model", "--json")
    assert json.loads(again.stdout) == figures


def test_the_default_model_is_judged(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(shipped_bundle())
    more = ("--size", 128, "--share", "auto")
    assert "Image only" in evaluate(tiny, tiny.manifest_path, tmp_path / "model", *more).stdout


def test_features_in_32_bits_give_the_probabilities_of_predict(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    more = ("--store-as", "float32", "--store", tmp_path / "features")
    evaluate(tiny, tiny.manifest_path, tmp_path / "model", *more)
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
    held_out = [s for s in tiny.manifest if s.split == "test"]
    predicted = workzone.load(tiny.bundle).predict([tiny.root / s.image.path for s in held_out])
    errors = [(p.probability - s.label) ** 2 for p, s in zip(predicted, held_out, strict=True)]
    brier = figures["image_only"]["figures"]["brier"]["value"]
    assert brier == pytest.approx(sum(errors) / len(errors), abs=2e-6)


def test_a_model_of_the_image_alone_has_one_table(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    text = evaluate(tiny, tiny.manifest_path, tmp_path / "model").stdout
    assert "Image only" in text
    assert "With metadata" not in text
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["with_metadata"] is None


def test_sentence_vectors_are_made_once_beside_the_features(
    tiny: Tiny, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[HashModel] = []

    def load(name: str) -> HashModel:
        loaded.append(HashModel())
        return loaded[-1]

    monkeypatch.setattr(text_model, "load_sentence_model", load)
    told = told_bundle(bundle, text=HashModel().spec)
    write_bundle(told, tmp_path / "model")
    samples = [dataclasses.replace(s, text=f"clip {s.group}") for s in tiny.manifest]
    manifest = tiny.root / "with-text.parquet"
    write_manifest(tiny.manifest.with_samples(samples), manifest)
    for _ in range(2):
        evaluate(tiny, manifest, tmp_path / "model")
        figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
        assert figures["manifest"]["with metadata that the model takes"] == 14
    assert [len(model.asked) for model in loaded] == [7]  # the test split's texts, once
    assert list(HashModel().spec.folder(tiny.store / "text").glob("part-*.safetensors"))


def test_a_field_that_leaks_and_was_allowed_is_told_in_red(
    tiny: Tiny, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaking = dataclasses.replace(told_bundle(bundle), provenance={"warnings": [LEAK]})
    write_bundle(leaking, tmp_path / "model")
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, color_system="standard", width=160)
    monkeypatch.setattr(module, "err", terminal)
    monkeypatch.setattr(module, "out", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    folder = tmp_path / "report"
    module.evaluate(tiny.manifest_path, tmp_path / "model", folder, store=tiny.store)
    text = seen.getvalue()
    assert f"\x1b[1;31mwarning: {LEAK}" in text  # bold red
    assert text.index(LEAK) < text.index("Image only")


def test_the_share_is_estimated_from_all_images_and_told(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    plain = json.loads(evaluate(tiny, tiny.manifest_path, tmp_path / "model", "--json").stdout)
    result = evaluate(tiny, tiny.manifest_path, tmp_path / "model", "--json", "--share", "auto")
    told = json.loads(result.stdout)
    share = told["model"]["holds for a share of road work of"]
    assert f"road work in {share:.1%} of 14 images, estimated" in result.stderr
    assert share != plain["model"]["holds for a share of road work of"]
    assert told["image_only"]["figures"]["brier"] != plain["image_only"]["figures"]["brier"]
    assert told["image_only"]["figures"]["auc"] == plain["image_only"]["figures"]["auc"]
    said = evaluate(tiny, tiny.manifest_path, tmp_path / "model", "--json", "--share", f"{share}")
    assert json.loads(said.stdout)["image_only"] == told["image_only"]


def test_a_challenge_stands_beside_the_figures_of_the_images(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    result = evaluate(
        tiny, tiny.manifest_path, tmp_path / "model", "--challenge", "--challenge-seed", 5
    )
    text = result.stdout
    assert 0 <= text.index("Image only") < text.index("Subnet challenge, image only")
    assert "expected reward" in text
    assert "56 challenge images of seed 5, 28 with road work" in text
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert figures["image_only"]["rows"] == 14  # the images as they are
    assert figures["challenge"]["seed"] == 5
    assert [part["metrics"]["rows"] for part in figures["challenge"]["levels"]] == [14] * 4
    assert 0 < figures["challenge"]["overall"]["expected_reward"]["value"] <= 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h2>The subnet's challenge</h2>" in page.replace("&#39;", "'")
    assert "3 hard</th>" in page
    made = list((tmp_path / "report" / "challenge" / "recipe-1-seed-5").rglob("*.jpg"))
    assert len(made) == 56
    times = [file.stat().st_mtime_ns for file in made]
    again = evaluate(
        tiny, tiny.manifest_path, tmp_path / "model", "--challenge", "--challenge-seed", 5, "--json"
    )
    assert json.loads(again.stdout) == figures
    assert [file.stat().st_mtime_ns for file in made] == times


def test_a_challenge_is_judged_as_the_subnet_sends_it(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    judged = []
    for share in ("0.5", "0.01"):
        evaluate(tiny, tiny.manifest_path, tmp_path / "model", "--challenge", "--share", share)
        judged.append(json.loads((tmp_path / "report" / "metrics.json").read_text()))
    assert judged[0]["challenge"] == judged[1]["challenge"]
    assert judged[0]["image_only"] != judged[1]["image_only"]


def test_without_a_challenge_there_is_none(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    assert "expected reward" not in evaluate(tiny, tiny.manifest_path, tmp_path / "model").stdout
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["challenge"] is None
    assert "subnet" not in (tmp_path / "report" / "report.html").read_text()
    assert not (tmp_path / "report" / "challenge").exists()
