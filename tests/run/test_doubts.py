"""Reasons for doubt: from an image to a decision, a table, an evaluation, a bundle."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import workzone
from cli_invoke import invoke
from made_images import sample_of
from trained import Tiny
from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.data.quality import IN_WORDS
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.conformal import ConformalSets
from workzone.decide.unsure import UNDECIDED, UNLIKE
from workzone.engine.program import Program
from workzone.errors import BundleError, UsageError
from workzone.features.extract import Extraction
from workzone.report.html import write_report
from workzone.run.bulk import predict_many
from workzone.run.evaluate import evaluate
from workzone.run.familiarise import add_familiarity, familiarity_of
from workzone.run.predictor import Predictor

ALL_UNDECIDED = ConformalSets(coverage=0.9, roadwork_from=0, none_to=1, rows=9, positives=4)


@pytest.fixture(scope="module")
def bundle(tiny: Tiny) -> Bundle:
    return read_bundle(tiny.bundle)


def street(tiny: Tiny) -> Path:
    return tiny.root / "06.png"


def with_cut(predictor: Predictor, cut: float) -> Predictor:
    """Whose cut is elsewhere."""
    familiarity = predictor.description.familiarity
    assert familiarity is not None
    moved = dataclasses.replace(familiarity, centre=-1.0, cut=cut)
    description = dataclasses.replace(predictor.description, familiarity=moved)
    return Predictor(Program(description, predictor.program.engine), unsure=predictor.unsure)


def test_training_leaves_statistics_that_know_its_own_images(tiny: Tiny, bundle: Bundle) -> None:
    familiarity = bundle.familiarity
    assert familiarity is not None
    assert (familiarity.rows, familiarity.groups) == (46, 23)
    model = workzone.load(tiny.bundle, unsure="abstain")
    seen = model.predict([tiny.root / f"{number:02}.png" for number in range(8)])
    assert all(p.unlike is not None and p.unlike < 1.5 for p in seen)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    (far,) = model.predict(noise)
    assert far.unlike is not None
    assert far.unlike > 2
    assert (far.decision, far.reason) == ("unsure", UNLIKE)


def test_off_warn_and_abstain_differ_in_the_decision_alone(tiny: Tiny) -> None:
    made = {}
    for unsure in ("off", "warn", "abstain"):
        model = with_cut(workzone.load(tiny.bundle, unsure=unsure), -0.5)
        (made[unsure],) = model.predict(street(tiny))
    off, warn, abstain = made.values()
    assert (off.reason, off.unlike) == ("", None)
    assert warn.reason == abstain.reason
    assert UNLIKE in warn.reason
    assert off.decision == warn.decision in ("roadwork", "none")
    assert abstain.decision == "unsure"
    assert off.probability == warn.probability == abstain.probability
    with pytest.raises(UsageError, match="did you mean 'abstain'"):
        workzone.load(tiny.bundle, unsure="abstian")


def test_a_picture_that_shows_too_little_is_told_by_its_fault(tiny: Tiny) -> None:
    model = workzone.load(tiny.bundle, unsure="abstain")
    (black,) = model.predict(Image.new("RGB", (96, 64)))
    assert black.reason.split("; ")[0] == "the picture is black"
    assert black.decision == "unsure"


def test_an_undecided_set_is_a_reason(tiny: Tiny) -> None:
    model = workzone.load(tiny.bundle, unsure="abstain")
    plain = with_cut(model, 1e9).described(
        dataclasses.replace(with_cut(model, 1e9).description, conformal=ALL_UNDECIDED)
    )
    (prediction,) = plain.predict(street(tiny))
    assert prediction.decision == "unsure"
    assert prediction.reason.endswith(UNDECIDED)
    assert UNLIKE not in prediction.reason


def test_sets_of_one_look_are_not_used_for_several(tiny: Tiny, tmp_path: Path) -> None:
    bundle = dataclasses.replace(read_bundle(tiny.bundle), conformal=ALL_UNDECIDED)
    write_bundle(bundle, tmp_path / "model")
    image, model = street(tiny), tmp_path / "model"
    one = invoke("predict", image, "--model", model, "--unsure", "warn", "--json")
    several = invoke("predict", image, "--model", model, "--unsure", "warn", "--tta", "1", "--json")
    assert UNDECIDED in json.loads(one.stdout)["reason"]
    assert UNDECIDED not in json.loads(several.stdout)["reason"]
    assert "conformal sets hold for one look" in several.stderr
    assert "conformal" not in one.stderr
    looking = bundle.with_test_time(1)
    assert looking.conformal_sets is None and "--tta 0" in looking.doubt_note()
    assert looking.with_test_time(0).conformal_sets == ALL_UNDECIDED


@pytest.mark.parametrize("broken", [np.nan, np.inf, None])
def test_a_broken_or_missing_vector_is_an_error(tiny: Tiny, broken: float | None) -> None:
    model = workzone.load(tiny.bundle, unsure="warn")
    engine = model.program.engine

    class Broken:
        def __getattr__(self, name: str) -> object:
            return getattr(engine, name)

        def run(self, graph: str, inputs: dict[str, object]) -> dict[str, object]:
            outputs = dict(engine.run(graph, inputs))  # type: ignore[arg-type]
            if graph == "judge":
                vector = outputs.pop("penultimate").copy()
                vector[..., -1] = broken
                outputs |= {} if broken is None else {"penultimate": vector}
            return outputs

    spoilt = Predictor(Program(model.description, Broken()), unsure="warn")  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="no penultimate vector, or one with a value that is not"):
        spoilt.predict(street(tiny))


def test_a_bundle_with_statistics_of_before_and_looks_by_them_loads_and_is_renewed(
    tiny: Tiny, bundle: Bundle, tmp_path: Path
) -> None:
    write_bundle(bundle, tmp_path / "old")
    path, model = tmp_path / "old/bundle.json", str(tmp_path / "old")
    held = json.loads(path.read_text())
    del held["familiarity"]["parts"], held["familiarity"]["measures"]
    held["familiarity"]["name"] = "mahalanobis"
    path.write_text(json.dumps(held | {"test_time": {"choose": "familiar"}}))
    result = invoke("predict", str(street(tiny)), "--model", model)
    assert result.exit_code == 0, result.output
    assert "it sees images once" in result.stderr
    assert invoke("models", "familiarise", model, "--data", str(tiny.manifest_path)).exit_code == 0
    renewed = read_bundle(tmp_path / "old")
    assert renewed.familiarity is not None
    assert renewed.test_time is not None  # as before


def test_a_bundle_of_before_loads_and_says_what_it_lacks(
    tiny: Tiny, bundle: Bundle, tmp_path: Path
) -> None:
    write_bundle(dataclasses.replace(bundle, familiarity=None, conformal=None), tmp_path / "old")
    held = json.loads((tmp_path / "old/bundle.json").read_text())
    del held["familiarity"], held["conformal"]
    (tmp_path / "old/bundle.json").write_text(json.dumps(held))
    image, model = str(street(tiny)), str(tmp_path / "old")
    result = invoke("predict", image, "--model", model, "--unsure", "warn")
    assert result.exit_code == 0
    assert "no statistics of what it learned from" in result.stderr
    assert "workzone models familiarise" in result.stderr
    assert "no statistics" not in invoke("predict", image, "--model", model).stderr
    manifest = str(tiny.manifest_path)
    added = invoke("models", "familiarise", model, "--data", manifest)
    assert added.exit_code == 0, added.output
    assert "32 images of 16 groups" in added.output
    again = read_bundle(tmp_path / "old").familiarity
    assert again is not None
    assert again.width == bundle.familiarity.width  # type: ignore[union-attr]
    told = invoke("predict", image, "--model", model, "--unsure", "warn")
    assert "no statistics" not in told.stderr


def test_statistics_of_images_are_those_of_stored_features(tiny: Tiny, tmp_path: Path) -> None:
    """What `familiarise` sees of images is what training sees in the store, but for 16 bits."""
    shutil.copytree(tiny.bundle, tmp_path / "model")
    model = workzone.load(tmp_path / "model")
    learned = model.description.familiarity
    splits = tiny.manifest.with_samples(
        [dataclasses.replace(s, split=None) for s in tiny.manifest if s.split != "test"]
    )
    found = familiarity_of(model, splits)
    assert learned is not None
    assert (found.rows, found.groups) == (learned.rows, learned.groups)
    assert found.cut == pytest.approx(learned.cut, rel=0.05)
    add_familiarity(tmp_path / "model", found)
    again = read_bundle(tmp_path / "model").familiarity
    assert again is not None
    assert again.cut == found.cut


def test_a_table_tells_decisions_and_reasons(tiny: Tiny, tmp_path: Path) -> None:
    model = with_cut(workzone.load(tiny.bundle, unsure="abstain"), -0.5)
    (tmp_path / "in").mkdir()
    for number in range(4):
        shutil.copy(tiny.root / f"{number:02}.png", tmp_path / "in")
    Image.new("RGB", (96, 64)).save(tmp_path / "in/black.png")
    summary = predict_many(model, tmp_path / "in", tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert summary.unsure == sum(row["decision"] == "unsure" for row in rows) > 0
    assert summary.roadwork == sum(row["decision"] == "roadwork" for row in rows)
    assert sum(summary.doubts.values()) == sum(bool(row["reason"]) for row in rows)
    shared = predict_many(model, tmp_path / "in", tmp_path / "share.jsonl", find_share=True)
    assert shared.unsure == summary.unsure


def test_an_evaluation_leaves_out_what_is_undecided(
    tiny: Tiny, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images are those of which predictions name a reason: whole views are the same pixels."""

    def made_up(pixels: np.ndarray) -> str | None:  # the tests' pictures are all blurred
        return "dirty" if pixels.sum() % 4 == 0 else None

    monkeypatch.setattr("workzone.data.quality.fault", made_up)
    assert bundle.familiarity is not None
    train = [tiny.root / s.image.path for s in tiny.manifest if s.split == "train"]
    scores = [p.unlike for p in workzone.load(tiny.bundle, unsure="warn").predict(train)]
    known = bundle.familiarity
    middle = known.centre + float(np.median(np.array(scores))) * (known.cut - known.centre)
    moved = dataclasses.replace(known, centre=-10.0, cut=middle)
    write_bundle(dataclasses.replace(bundle, familiarity=moved, conformal=None), tmp_path / "cut")
    figures = {}
    for unsure in ("off", "warn", "abstain"):
        options = ["--model", str(tmp_path / "cut"), "--unsure", unsure, "--split", "train"]
        folder = tmp_path / unsure
        result = invoke(
            "evaluate",
            str(tiny.manifest_path),
            *options,
            "-o",
            str(folder),
            "--store",
            str(tiny.store),
        )
        assert result.exit_code == 0, result.output
        figures[unsure] = json.loads((folder / "metrics.json").read_text())
        page = (folder / "report.html").read_text()
        assert "If doubtful images are left undecided" in page
        assert "left undecided, by daytime" in page and "at 95%" in page
    off, warn, abstain = figures.values()
    assert off["selective"]["in_doubt"] is None
    doubted = warn["selective"]["in_doubt"]
    told = [p.reason for p in workzone.load(tmp_path / "cut", unsure="warn").predict(train)]
    assert 12 < doubted < 28
    assert doubted == sum(map(bool, told))
    reasons = Counter(words for reason in told if reason for words in reason.split("; "))
    assert set(reasons) == {UNLIKE, IN_WORDS["dirty"]}
    assert {k: v for k, v in warn["selective"]["reasons"].items() if v} == reasons
    assert warn["image_only"] == off["image_only"]
    assert abstain["image_only"]["rows"] == 32 - doubted
    assert abstain["selective"] == warn["selective"]
    assert any(f"{doubted} images of 32 left undecided" in w for w in abstain["warnings"])
    refused = [part for part in warn["selective"]["refused"] if part["field"] == "daytime"]
    assert sum(part["in_doubt"] for part in refused) == doubted
    assert sum(part["at"]["0.9"] for part in refused) == 32 - round(0.9 * 32)


def test_an_evaluation_tells_of_pictures_that_show_too_little(
    tiny: Tiny, bundle: Bundle, lite0: Backbone, tmp_path: Path
) -> None:
    """As predictions do; of one that is gone it says that it cannot."""
    samples = [s for s in tiny.manifest if s.split == "test"][:6]
    Image.new("RGB", (96, 64)).save(tmp_path / "black.png")
    Image.new("RGB", (96, 64), (255, 255, 255)).save(tmp_path / "white.png")
    pictures = [sample_of(tmp_path / f"{name}.png", label=0) for name in ("black", "white")]
    for sample in samples:
        shutil.copy(tiny.root / sample.image.path, tmp_path)
    manifest = Manifest([*samples, *pictures], tmp_path)
    store = Extraction(manifest, lite0, bundle.spec, tmp_path / "store").run()
    (tmp_path / samples[0].image.path).unlink()
    result = evaluate(bundle, manifest, store, unsure="warn")
    plain = result.to_json()
    reasons = plain["selective"]["reasons"]
    assert reasons[IN_WORDS["black"]] == reasons[IN_WORDS["over-exposed"]] == 1
    assert plain["image_only"]["rows"] == 8
    assert any("1 image changed or gone since" in warning for warning in plain["warnings"])
    write_report(tmp_path / "report.html", result.report)
    page = (tmp_path / "report.html").read_text()
    assert f'<th scope="row">{IN_WORDS["black"]}</th><td class="number-column">1</td>' in page
    left = evaluate(bundle, manifest, store, unsure="abstain")
    assert {s.id for s in left.samples}.isdisjoint({s.id for s in pictures})
