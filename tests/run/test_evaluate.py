from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    matthews_corrcoef,
    roc_auc_score,
)

from made_images import sample_of
from predictors import backbone_of, bundle_predictor
from told import HashModel, told_bundle
from trained import Tiny
from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle, read_bundle
from workzone.decide.calibration import Calibration
from workzone.errors import ManifestError, UsageError
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.features.text import text_vectors
from workzone.report.html import write_report
from workzone.report.metrics import point_metrics, summarise, summarise_by
from workzone.run import evaluate as module
from workzone.run.evaluate import Evaluation, evaluate
from workzone.run.predictor import Predictor
from workzone.run.stored_scores import raw_probabilities
from workzone.types import Sample


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 20)


@pytest.fixture(scope="module")
def bundle(tiny: Tiny) -> Bundle:
    return read_bundle(tiny.bundle)


@pytest.fixture(scope="module")
def store(tiny: Tiny, lite0: Backbone, bundle: Bundle) -> FeatureStore:
    return Extraction(tiny.manifest, lite0, bundle.spec, tiny.store).run()


def judge(tiny: Tiny, bundle: Bundle, store: FeatureStore, samples: Sequence[Sample]) -> Evaluation:
    return evaluate(bundle, tiny.manifest.with_samples(samples), store)


def mislabelled(samples: Sequence[Sample], every: int = 4) -> list[Sample]:
    """Some labels turned around, so that there are mistakes to count."""
    return [
        dataclasses.replace(s, label=1 - (s.label or 0)) if number % every == 0 else s
        for number, s in enumerate(samples)
    ]


def test_figures_are_those_of_scikit_learn_on_the_predictors_answers(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, predictor: Predictor
) -> None:
    samples = mislabelled(list(tiny.manifest))
    bundle = dataclasses.replace(bundle, calibration=Calibration(0.4, 0.5))
    predictor = bundle_predictor(bundle, backbone_of(predictor))
    result = judge(tiny, bundle, store, samples)
    labels = np.array([s.label for s in samples])
    predictions = predictor.predict([tiny.root / s.image.path for s in samples])
    scores = np.array([p.probability for p in predictions])
    # stored features are rounded to float16, the predictor's are not
    np.testing.assert_allclose(result.report.probabilities, scores, atol=0.01)
    scores = result.report.probabilities
    expected = {
        "mcc": matthews_corrcoef(labels, scores > 0.5),
        "auc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "accuracy": accuracy_score(labels, scores > 0.5),
        "brier": brier_score_loss(labels, scores),
    }
    figures = result.report.metrics.figures
    assert {name: figures[name].value for name in expected} == pytest.approx(expected)
    assert 0.3 < expected["mcc"] < 0.7  # there was something to get wrong
    assert [s.id for s in result.samples] == [s.id for s in samples]


def test_what_was_before_calibration_stands_beside(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, tmp_path: Path
) -> None:
    bent = dataclasses.replace(bundle, calibration=Calibration(0.3, 0.5))
    samples = mislabelled(list(tiny.manifest))
    evaluation = judge(tiny, bent, store, samples)
    raw = raw_probabilities(bundle, store, samples)
    told = evaluation.to_json()["before_calibration"]["figures"]
    assert told["ece"]["value"] == pytest.approx(
        point_metrics([s.label for s in samples], raw)["ece"]
    )
    assert told["ece"]["low"] <= told["ece"]["value"] + 0.1
    assert told["ece"] != evaluation.to_json()["image_only"]["figures"]["ece"]
    write_report(tmp_path / "report.html", evaluation.report)
    page = (tmp_path / "report.html").read_text()
    assert "before calibration</th>" in page
    assert "Dotted: before calibration." in page


def test_the_batch_changes_nothing(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judge(tiny, bundle, store, list(tiny.manifest)).report.probabilities
    monkeypatch.setattr("workzone.run.mistakes.images_at_once", lambda numbers: 7)
    parts = judge(tiny, bundle, store, list(tiny.manifest)).report.probabilities
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def held_out(tiny: Tiny) -> list[Sample]:
    return [s for s in tiny.manifest if s.split == "test"]


def test_held_out_rows_bring_no_warning_but_their_number(
    tiny: Tiny, bundle: Bundle, store: FeatureStore
) -> None:
    warnings = judge(tiny, bundle, store, held_out(tiny)).report.warnings
    assert len(warnings) == 2
    assert warnings[0].startswith("Only 7 images with road work and 7 without: the intervals are")
    assert warnings[1].startswith("Threshold: 0.5 is kept: 7 rows with road work and 7 without")


def test_training_images_are_warned_of(tiny: Tiny, bundle: Bundle, store: FeatureStore) -> None:
    warnings = judge(tiny, bundle, store, list(tiny.manifest)).report.warnings
    assert (
        "46 of 60 images were in training or validation: these figures say nothing" in warnings[0]
    )
    assert "23 groups were also in training, clip-0 among them: frames of one seq" in warnings[1]
    assert not any("Only" in warning for warning in warnings)


def test_shared_groups_alone_are_warned_of(tiny: Tiny, bundle: Bundle, store: FeatureStore) -> None:
    samples = held_out(tiny)
    samples[0] = dataclasses.replace(samples[0], group="clip-0")
    warnings = judge(tiny, bundle, store, samples).report.warnings
    assert "1 groups were also in training, clip-0 among them" in warnings[0]


def test_unreadable_images_are_counted_and_left_out(
    tiny: Tiny, bundle: Bundle, lite0: Backbone
) -> None:
    path = tiny.root / "no-picture.png"
    path.write_bytes(b"this is no picture")
    samples = [*held_out(tiny), sample_of(path, label=1, split="test")]
    manifest = tiny.manifest.with_samples(samples)
    store = Extraction(manifest, lite0, bundle.spec, tiny.store).run()
    result = evaluate(bundle, manifest, store)
    assert len(result.samples) == result.report.metrics.rows == 14
    assert result.report.manifest_facts["unreadable, left out"] == 1
    assert "1 image could not be read: left out." in result.report.warnings


def test_slices_are_given_where_a_field_differs(
    tiny: Tiny, bundle: Bundle, store: FeatureStore
) -> None:
    slices = judge(tiny, bundle, store, list(tiny.manifest)).report.slices
    assert set(slices) == {"group", "daytime"}  # the source is one, weather is not known
    rows = {part.value: part.metrics.rows for part in slices["daytime"]}
    assert rows == {"day": 40, "night": 20}


def test_slices_are_those_of_the_plain_way() -> None:
    """Of one group, of several, small and large, of one class, and of no known group."""
    random = np.random.default_rng(5)
    rows = 900
    labels = random.integers(0, 2, rows)
    probabilities = np.round(np.clip(0.3 * labels + 0.7 * random.random(rows), 0, 1), 2)
    field = [("a", "b", "tiny", None)[n] for n in random.choice(4, rows, p=[0.5, 0.3, 0.02, 0.18])]
    groups = [None if n == 0 else f"g{n}" for n in random.integers(0, 12, rows)]
    labels[[group == "g3" for group in groups]] = 1
    whole = summarise(labels, probabilities, groups, resamples=20)
    for values in (field, groups, [f"{n // 9}" for n in range(rows)]):
        found = module._slices(whole, labels, probabilities, groups, values)
        plain = summarise_by(labels, probabilities, groups, values, resamples=20)
        assert [part.value for part in found] == [part.value for part in plain]
        for ours, theirs in zip(found, plain, strict=True):
            first, second = ours.metrics.to_json(), theirs.metrics.to_json()
            first_figures, second_figures = first.pop("figures"), second.pop("figures")
            assert first == second
            assert list(first_figures) == list(second_figures)
            for name, figure in first_figures.items():
                assert figure == pytest.approx(second_figures[name], abs=1e-12), name


def test_one_group_slices_are_not_summarised_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 1,500 groups that took 18 seconds."""
    labels = np.tile([0, 1], 1500)
    probabilities = np.linspace(0, 1, 3000)
    groups = [f"g{n // 2}" for n in range(3000)]
    whole = summarise(labels, probabilities, groups, resamples=0)
    monkeypatch.setattr(module, "summarise_by", None)  # would fail
    slices = module._slices(whole, labels, probabilities, groups, groups)
    assert len(slices) == 1500
    assert {tuple(part.metrics.figures) for part in slices} == {("accuracy",)}


def test_the_report_shows_figures_warnings_and_mistakes(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, tmp_path: Path
) -> None:
    result = judge(tiny, bundle, store, mislabelled(held_out(tiny)))
    wrong = result.report.mistakes
    assert len(wrong) >= 4
    for mistake in wrong:
        assert (mistake.probability > 0.5) != bool(mistake.label)
        assert float(np.sum(mistake.view_weights)) == pytest.approx(1, abs=1e-5)
    write_report(tmp_path / "report.html", result.report)
    page = (tmp_path / "report.html").read_text()
    assert "Only " in page
    assert page.count("data:image/jpeg;base64,") == len(wrong)
    text = json.dumps(result.to_json(), allow_nan=False)
    facts = json.loads(text)["model"]
    assert facts["backbone"] == "lite0"
    assert (facts["engine"], facts["precision"]) == ("torch", store.spec.precision)
    assert facts["trainable parameters"] == sum(p.numel() for p in bundle.detector.parameters())


def test_an_image_that_is_gone_is_judged_but_not_shown(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, tmp_path: Path
) -> None:
    """Its features are stored: evaluation needs no pictures but for the page."""
    samples = mislabelled(held_out(tiny), every=1)
    for sample in samples[1:]:
        shutil.copy(tiny.root / sample.image.path, tmp_path)
    result = evaluate(bundle, Manifest(samples, tmp_path), store)
    assert len(result.samples) == 14
    notes = {mistake.id: mistake.note for mistake in result.report.mistakes}
    assert "not shown: " in notes[samples[0].id]
    assert "no such file" in notes[samples[0].id]
    assert "not shown" not in notes[samples[1].id]


def test_without_labels_there_is_nothing_to_evaluate(
    tiny: Tiny, bundle: Bundle, store: FeatureStore
) -> None:
    samples = [dataclasses.replace(s, label=None) for s in held_out(tiny)]
    with pytest.raises(ManifestError, match=r"no labelled row to evaluate on \(14 rows, 0 of them"):
        judge(tiny, bundle, store, samples)


def test_an_image_without_features_is_counted_as_unreadable(
    tiny: Tiny, bundle: Bundle, store: FeatureStore
) -> None:
    samples = [dataclasses.replace(held_out(tiny)[0], content_hash="f" * 32)]
    with pytest.raises(ManifestError, match="1 of them labelled but unreadable"):
        judge(tiny, bundle, store, samples)


def told_by_night(samples: Sequence[Sample]) -> list[Sample]:
    """Of every third row nothing is known; all road work of the others is by night."""
    times = {0: "day", 1: "night"}
    return [
        dataclasses.replace(s, daytime=None if number % 3 == 0 else times[s.label or 0])
        for number, s in enumerate(samples)
    ]


def test_the_score_with_metadata_comes_second(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, predictor: Predictor
) -> None:
    samples = mislabelled(list(tiny.manifest))
    samples = told_by_night(samples)
    bundle = dataclasses.replace(bundle, calibration=Calibration(0.4, 0.5))
    alone = judge(tiny, bundle, store, samples)
    told = told_bundle(bundle)
    both = judge(tiny, told, store, samples)
    np.testing.assert_allclose(both.report.probabilities, alone.report.probabilities, atol=1e-6)
    assert both.report.metrics.confusion == alone.report.metrics.confusion
    assert [m.id for m in both.report.mistakes] == [m.id for m in alone.report.mistakes]
    for field, slices in alone.report.slices.items():
        expected_counts = [part.metrics.confusion for part in slices]
        assert [part.metrics.confusion for part in both.report.slices[field]] == expected_counts

    metadata = [{"daytime": s.daytime} for s in samples]
    paths = [tiny.root / s.image.path for s in samples]
    answers = bundle_predictor(told, backbone_of(predictor)).predict(paths, metadata)
    labels = np.array([s.label for s in samples])
    scores = np.array([p.probability for p in answers])
    expected = {
        "auc": roc_auc_score(labels, scores),
        "accuracy": accuracy_score(labels, scores > 0.5),
        "brier": brier_score_loss(labels, scores),
    }
    metrics = both.report.metadata_metrics
    assert metrics is not None
    values = {name: metrics.figures[name].value for name in expected}
    assert values == pytest.approx(expected, abs=0.01)  # stored features are rounded
    assert expected["auc"] > (both.report.metrics.figures["auc"].value or 0) + 0.05

    plain = both.to_json()
    names = list(plain)
    assert names.index("with_metadata") == names.index("image_only") + 1
    assert plain["image_only"] == both.report.metrics.to_json()
    assert plain["with_metadata"] == metrics.to_json()
    assert plain["manifest"]["with metadata that the model takes"] == 40
    assert plain["model"]["metadata fields"] == ["daytime"]
    assert alone.to_json()["with_metadata"] is None


def test_the_batch_changes_nothing_with_metadata(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, told = told_by_night(list(tiny.manifest)), told_bundle(bundle)
    whole = judge(tiny, told, store, samples).report.metadata_metrics
    monkeypatch.setattr("workzone.run.mistakes.images_at_once", lambda numbers: 7)
    parts = judge(tiny, told, store, samples).report.metadata_metrics
    assert whole is not None
    assert parts is not None
    assert parts.confusion == whole.confusion
    assert parts.figures["brier"].value == pytest.approx(whole.figures["brier"].value, abs=1e-6)


def test_texts_need_vectors(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, tmp_path: Path
) -> None:
    told = told_bundle(bundle, text=HashModel().spec)
    samples = [dataclasses.replace(s, text=f"text {s.id}") for s in held_out(tiny)]
    with pytest.raises(UsageError, match="has a text, but there are no sentence vectors"):
        judge(tiny, told, store, samples)
    vectors = text_vectors([s.text for s in samples], tmp_path, HashModel())
    manifest = tiny.manifest.with_samples(samples)
    with_text = evaluate(told, manifest, store, text_vectors=vectors).report.metadata_metrics
    without = judge(tiny, told, store, held_out(tiny)).report.metadata_metrics
    assert with_text is not None
    assert without is not None
    assert with_text.figures["brier"] != without.figures["brier"]


def test_a_field_that_leaks_and_was_allowed_stands_in_red_before_the_figures(
    tiny: Tiny, bundle: Bundle, store: FeatureStore, tmp_path: Path
) -> None:
    sentence = "The model was fed with daytime, which gives the label away: AUC 1.000."
    leaking = dataclasses.replace(
        told_bundle(bundle), provenance={**bundle.provenance, "warnings": [sentence]}
    )
    result = judge(tiny, leaking, store, held_out(tiny))
    assert sentence in result.report.warnings
    assert sentence in result.to_json()["warnings"]
    write_report(tmp_path / "report.html", result.report)
    page = (tmp_path / "report.html").read_text()
    shown = page.index(f'<p class="warning" role="alert">{sentence}</p>')
    assert shown < page.index("Headline figures")
    assert shown < page.index("with metadata</th>")
    assert re.search(r"\.warning \{[^}]*color: var\(--alarm\)", page)
    assert "--alarm: #b00020" in page  # a dark red
