from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, matthews_corrcoef, roc_auc_score

from made_images import sample_of
from trained import Tiny
from workzone.backbones.base import Backbone
from workzone.data.challenge import challenge_image
from workzone.data.images import decode
from workzone.data.manifest import METADATA_FIELDS, Manifest, read_manifest
from workzone.decide.bundle import Bundle, read_bundle
from workzone.errors import ManifestError
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.report.challenge import ChallengeReport
from workzone.run.predictor import Predictor
from workzone.subnet.challenge import judge_challenge, reward_figure, write_challenge
from workzone.subnet.reward import expected_reward


@pytest.fixture(scope="module")
def rows(tiny: Tiny) -> Manifest:
    """Unseen rows, some labels turned around, so that there are mistakes to count."""
    samples = [s for s in tiny.manifest if s.split == "test"]
    samples += [dataclasses.replace(s, label=1 - (s.label or 0)) for s in samples[:2]]
    samples[-2:] = [dataclasses.replace(s, id=f"{s.id} again", group=None) for s in samples[-2:]]
    return tiny.manifest.with_samples(samples)


@pytest.fixture(scope="module")
def challenge(rows: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_challenge(rows, tmp_path_factory.mktemp("challenge"), seed=3)


@pytest.fixture(scope="module")
def bundle(tiny: Tiny) -> Bundle:
    return read_bundle(tiny.bundle)


@pytest.fixture(scope="module")
def store(tiny: Tiny, challenge: Manifest, lite0: Backbone, bundle: Bundle) -> FeatureStore:
    return Extraction(challenge, lite0, bundle.spec, tiny.store).run()


@pytest.fixture(scope="module")
def report(bundle: Bundle, challenge: Manifest, store: FeatureStore) -> ChallengeReport:
    return judge_challenge(bundle, challenge, store, seed=3, resamples=200)


# The data set


def test_each_row_is_there_once_at_every_level(rows: Manifest, challenge: Manifest) -> None:
    assert len(challenge) == 4 * len(rows)
    levels = Counter((s.id.rsplit(" level ")[0], s.extra["level"]) for s in challenge)
    assert levels == {(s.id, str(level)): 1 for s in rows for level in range(4)}
    assert [s.label for s in challenge] == [s.label for s in rows for _ in range(4)]


def test_it_is_a_manifest_of_jpegs_without_metadata(challenge: Manifest) -> None:
    read = read_manifest(challenge.root / "manifest.parquet")
    assert list(read) == list(challenge)
    assert challenge.root.name == "recipe-1-seed-3"
    for sample in read:
        with Image.open(read.root / sample.image.path) as image:
            assert (image.format, image.size) == ("JPEG", (224, 224))
        assert [getattr(sample, name) for name in METADATA_FIELDS] == [None] * 7
        assert sample.split == "test"


def test_the_images_are_those_of_the_recipe(tiny: Tiny, challenge: Manifest) -> None:
    first = next(s for s in tiny.manifest if s.split == "test")
    frame = decode((tiny.root / first.image.path).read_bytes())
    for level in range(4):
        made = challenge_image(frame, identity=first.content_hash or "", seed=3, level=level)
        assert (challenge.root / challenge.samples[level].image.path).read_bytes() == made.jpeg


def test_rows_without_a_group_keep_their_images_together(challenge: Manifest) -> None:
    assert Counter(s.group for s in challenge if s.id.startswith("06 again")) == {"06 again": 4}
    assert {s.group for s in challenge if s.id.startswith("06 level")} == {"clip-3"}


def test_what_is_there_is_not_made_again(rows: Manifest, tmp_path: Path) -> None:
    first = write_challenge(rows, tmp_path, seed=1)
    files = sorted(first.root.rglob("*.jpg"))
    assert len(files) == 4 * 14  # equal images once
    content, times = files[0].read_bytes(), [f.stat().st_mtime_ns for f in files[1:]]
    files[0].unlink()  # as if it had been stopped
    assert list(write_challenge(rows, tmp_path, seed=1)) == list(first)
    assert files[0].read_bytes() == content
    assert [f.stat().st_mtime_ns for f in files[1:]] == times


def test_another_seed_has_images_of_its_own(rows: Manifest, tmp_path: Path) -> None:
    hashes = [
        {s.content_hash for s in write_challenge(rows, tmp_path, seed=seed)} for seed in (1, 2)
    ]
    assert len(hashes[0] & hashes[1]) == 14  # level 0 draws nothing


def test_rows_that_cannot_be_read_or_have_no_label_are_left_out(
    rows: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "no-picture.png"
    path.write_bytes(b"this is no picture")
    samples = [
        sample_of(path, label=1),
        dataclasses.replace(rows.samples[0], label=None),
        rows.samples[1],
    ]
    mixed = Manifest(
        [
            dataclasses.replace(
                s, image=dataclasses.replace(s.image, path=str(rows.root / s.image.path))
            )
            for s in samples[1:]
        ]
        + samples[:1],
        tmp_path,
    )
    made = write_challenge(mixed, tmp_path / "out")
    assert [s.id for s in made] == [f"{rows.samples[1].id} level {level}" for level in range(4)]
    with pytest.raises(ManifestError, match="no challenge image could be made: 1 rows, 1 of them"):
        write_challenge(mixed.with_samples(samples[:1]), tmp_path / "none")


def test_a_row_without_a_hash_is_refused(rows: Manifest, tmp_path: Path) -> None:
    nameless = dataclasses.replace(rows.samples[0], content_hash=None)
    with pytest.raises(ManifestError, match=f"sample '{nameless.id}' has no content hash; import"):
        write_challenge(rows.with_samples([nameless]), tmp_path)


# The figures


def test_figures_are_those_of_scikit_learn_on_the_predictors_answers(
    report: ChallengeReport, challenge: Manifest, predictor: Predictor
) -> None:
    predictions = predictor.predict([challenge.root / s.image.path for s in challenge])
    scores = np.array([p.probability for p in predictions])
    labels = np.array([s.label for s in challenge])
    levels = np.array([int(s.extra["level"]) for s in challenge])
    assert [part.level for part in report.figures] == [0, 1, 2, 3, None]
    for part in report.figures:
        rows = levels == part.level if part.level is not None else levels >= 0
        truth, said = labels[rows], scores[rows]
        figures = part.metrics.figures
        assert part.metrics.rows == rows.sum()
        assert figures["mcc"].value == pytest.approx(matthews_corrcoef(truth, said > 0.5))
        assert figures["accuracy"].value == pytest.approx(accuracy_score(truth, said > 0.5))
        # stored features are rounded to float16, the predictor's are not: neighbours may swap
        assert figures["auc"].value == pytest.approx(roc_auc_score(truth, said), abs=0.02)
        recall, specificity = np.mean(said[truth == 1] > 0.5), np.mean(said[truth == 0] <= 0.5)
        assert part.expected_reward.value == pytest.approx(
            float(expected_reward(recall, specificity))
        )
        low, high = part.expected_reward.low, part.expected_reward.high
        assert low is not None
        assert high is not None
        assert low < (part.expected_reward.value or 0) < high


def test_the_json_names_seed_and_levels(report: ChallengeReport) -> None:
    told = report.to_json()
    assert told["seed"] == 3
    assert [part["level"] for part in told["levels"]] == [0, 1, 2, 3]
    assert told["overall"]["metrics"]["rows"] == 4 * 16
    assert set(told["overall"]["expected_reward"]) == {
        "value",
        "low",
        "high",
        "undefined_resamples",
    }


def test_groups_are_drawn_whole() -> None:
    """Ten images a group, alike: as wide as one image a group, much wider than a hundred."""
    random = np.random.default_rng(2)
    labels = np.tile([0, 1], 10)
    answers = np.where(random.random(20) < 0.8, labels, 1 - labels).astype(float)
    alone = reward_figure(labels, answers, [f"g{n}" for n in range(20)], resamples=500)
    often = np.repeat(labels, 10), np.repeat(answers, 10)
    together = reward_figure(*often, [f"g{n // 10}" for n in range(200)], resamples=500)
    apart = reward_figure(*often, [f"g{n}" for n in range(200)], resamples=500)
    assert together.value == pytest.approx(alone.value)

    def width(figure: object) -> float:
        return figure.high - figure.low  # type: ignore[attr-defined, no-any-return]

    assert width(together) == pytest.approx(width(alone), rel=0.25)
    assert width(together) > 2 * width(apart)


def test_one_class_has_no_expected_reward_and_few_groups_no_interval() -> None:
    ones = np.ones(8, dtype=int)
    assert reward_figure(ones, np.full(8, 0.9), list("abcdefgh"), resamples=50).value is None
    labels = np.array([0, 1] * 4)
    few = reward_figure(labels, labels.astype(float), list("abcdabcd"), resamples=50)
    assert (few.value, few.low, few.high) == (pytest.approx(1), None, None)


def test_resamples_without_a_class_are_counted() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0])
    figure = reward_figure(labels, labels.astype(float), list("abcdef"), resamples=300)
    # P(a group is not drawn) = (5/6)^6 = 0.335
    assert figure.undefined_resamples == pytest.approx(100, abs=40)
    assert figure.low == pytest.approx(1)


def test_the_code_of_the_page_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "judge" / "challenge.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/judge/challenge.md", "exec"), {})
