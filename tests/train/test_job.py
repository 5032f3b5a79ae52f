from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from made_images import blob_image, sample_of
from trained import LAYOUT, Tiny
from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.errors import ManifestError, TrainingError, UsageError
from workzone.features.extract import make_spec
from workzone.model.config import DetectorConfig
from workzone.train.job import Trained, train
from workzone.train.provenance import manifest_hash
from workzone.train.settings import TrainConfig
from workzone.types import Sample

QUICK = TrainConfig(epochs=3, detector=DetectorConfig())


@pytest.fixture
def learn(tiny: Tiny, lite0: Backbone) -> Callable[..., Trained]:
    """Train on some samples with the features that the shared fixture has stored."""
    spec = make_spec(lite0, layout=LAYOUT)

    def learn_from(samples: Sequence[Sample], **options: object) -> Trained:
        manifest = tiny.manifest.with_samples(samples)
        return train(manifest, lite0, spec, tiny.store, QUICK, **options)  # type: ignore[arg-type]

    return learn_from


def weights(bundle: Bundle) -> list[float]:
    parts = [value.flatten() for value in bundle.detector.state_dict().values()]
    return [float(value) for value in torch.cat(parts)]


def same(first: Bundle, second: Bundle) -> bool:
    return first.identity() == second.identity() and weights(first) == weights(second)


def test_test_rows_never_influence_the_model(
    tiny: Tiny, learn: Callable[..., Trained], tmp_path: Path
) -> None:
    samples = list(tiny.manifest)
    plain = learn(samples)
    changed = []
    for number, sample in enumerate(samples):
        if sample.split == "test":
            # another picture, the opposite label, and one that cannot be read at all
            path = tiny.root / f"changed-{number}.png"
            blob_image(900 + number, sample.label or 0).save(path)
            other = sample_of(path, label=1 - (sample.label or 0), split="test")
            if number % 5 == 0:
                path.write_bytes(b"no image")
            changed.append(other)
        else:
            changed.append(sample)
    assert same(plain.bundle, learn(changed).bundle)
    assert same(plain.bundle, learn([s for s in samples if s.split != "test"]).bundle)
    assert {s.split for s in plain.samples} == {"train", "val"}
    hidden = {s.content_hash for s in samples if s.split == "test"}
    assert not hidden & plain.bundle.training_images


def test_a_changed_training_label_does_change_it(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    samples = list(tiny.manifest)
    flipped = [
        dataclasses.replace(s, label=1 - (s.label or 0)) if number == 0 else s
        for number, s in enumerate(samples)
    ]
    assert not same(learn(samples).bundle, learn(flipped).bundle)


def test_rows_without_label_or_split_are_not_learned_from(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    samples = list(tiny.manifest)
    extra = [
        dataclasses.replace(samples[0], id="x", label=None),
        dataclasses.replace(samples[1], id="y", label=0, split=None),
        dataclasses.replace(samples[2], id="z", label=1, split="holdout", group=None),
    ]
    assert same(learn(samples).bundle, learn(samples + extra).bundle)


def test_another_split_name_for_the_test_does_not_free_the_test_rows(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    message = r"no row is in the split 'tset' .* did you mean 'test'\? allowed: test, train, val"
    with pytest.raises(UsageError, match=message):
        learn(list(tiny.manifest), test_split="tset")


def in_folds(samples: Sequence[Sample]) -> list[Sample]:
    return [
        dataclasses.replace(s, split=f"fold-{number // 2 % 3}") for number, s in enumerate(samples)
    ]


def test_folds_validate_in_turn(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    trained = learn(in_folds(list(tiny.manifest)), test_split="fold-1")
    assert {s.split for s in trained.samples} == {"fold-0", "fold-2"}
    assert len(trained.fit.validation_losses) == 2
    assert sorted(trained.fit.validation_rows) == list(range(len(trained.samples)))


def test_the_test_fold_must_be_named(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    with pytest.raises(UsageError, match=r"split 'test' .* allowed: fold-0, fold-1, fold-2"):
        learn(in_folds(list(tiny.manifest)))


def test_a_group_in_two_splits_is_refused(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    samples = [dataclasses.replace(s, group="same") for s in tiny.manifest]
    with pytest.raises(
        TrainingError, match=r"the splits leak: 1 group is on both sides .'same' for one"
    ):
        learn(samples)


def test_without_a_val_split_it_is_refused(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    samples = [s for s in tiny.manifest if s.split != "val"]
    with pytest.raises(TrainingError, match="no validation rows: give the manifest a `val` split"):
        learn(samples)


def test_a_single_class_is_refused(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    samples = [dataclasses.replace(s, label=1) for s in tiny.manifest]
    with pytest.raises(TrainingError, match=r"all 46 labelled .* 'road work': a detector"):
        learn(samples)


def test_nothing_labelled_is_refused(tiny: Tiny, learn: Callable[..., Trained]) -> None:
    samples = [dataclasses.replace(s, label=None) for s in tiny.manifest]
    with pytest.raises(TrainingError, match="no row has a label: nothing can be learned"):
        learn(samples)


def test_an_image_without_content_hash_is_refused(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    samples = [dataclasses.replace(s, content_hash=None) for s in tiny.manifest]
    with pytest.raises(ManifestError, match="has no content hash; import the data again"):
        learn(samples)


def test_unreadable_images_are_left_out_and_counted(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    path = tiny.root / "unreadable.png"
    path.write_bytes(b"no image at all")
    bad = sample_of(path, label=1, split="train", group="bad")
    trained = learn([*tiny.manifest, bad])
    assert trained.left_out == 1
    assert bad.id not in {s.id for s in trained.samples}
    assert same(trained.bundle, learn(list(tiny.manifest)).bundle)
    assert "bad" not in trained.bundle.training_groups


def test_copies_are_extracted_and_change_the_model(
    tiny: Tiny, lite0: Backbone, learn: Callable[..., Trained], tmp_path: Path
) -> None:
    samples = list(tiny.manifest)
    spec = make_spec(lite0, layout=LAYOUT)
    manifest = tiny.manifest
    trained = train(manifest, lite0, spec, tiny.store, QUICK, copies=1)
    assert not same(trained.bundle, learn(samples).bundle)
    assert trained.bundle.provenance["training"]["copies"] == 1
    assert len(trained.samples) == sum(s.split != "test" for s in samples)


def test_rows_that_a_model_labelled_are_told_by_where_they_come_from(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    samples = list(tiny.manifest)
    for row, former in ((0, {"pseudo_source": "dashcam"}), (1, {})):
        assert samples[row].split == "train"
        samples[row] = dataclasses.replace(samples[row], source="pseudo", extra=former)
    sources = learn(samples).bundle.provenance["sources"]
    assert sources == ["dashcam (labelled by a model)", "made", "pseudo"]


def test_where_the_model_comes_from_is_written_down(
    tiny: Tiny, learn: Callable[..., Trained]
) -> None:
    trained = learn(list(tiny.manifest))
    provenance = trained.bundle.provenance
    learned = [s for s in tiny.manifest if s.split != "test"]
    assert provenance["rows"] == len(learned) == 46
    assert provenance["positives"] == 23
    assert provenance["groups"] == 23
    assert provenance["sources"] == ["made"]
    assert provenance["inputs"] == "image only"
    assert provenance["training"]["epochs"] == 3
    assert provenance["manifest"] == manifest_hash(learned)
    assert trained.bundle.training_groups == {s.group for s in learned}
    assert trained.bundle.backbone_licence == "Apache-2.0"


def test_the_manifest_hash_sees_labels_and_splits_but_no_order(tiny: Tiny) -> None:
    samples = list(tiny.manifest)
    assert manifest_hash(samples) == manifest_hash(samples[::-1])
    others = [
        manifest_hash([dataclasses.replace(samples[0], **change), *samples[1:]])
        for change in ({"label": 1}, {"split": "val"}, {"content_hash": "0" * 32})
    ]
    assert len({manifest_hash(samples), *others}) == 4


def test_the_same_seed_gives_the_same_bundle(tiny: Tiny, lite0: Backbone, tmp_path: Path) -> None:
    """From images on: two stores, two extractions, two trainings."""
    spec = make_spec(lite0, layout=LAYOUT)
    few = Manifest(list(tiny.manifest)[:16], tiny.root)
    first, second = (
        train(few, lite0, spec, tmp_path / name, dataclasses.replace(QUICK, epochs=2))
        for name in "ab"
    )
    assert same(first.bundle, second.bundle)
    np.testing.assert_array_equal(
        first.fit.validation_probabilities, second.fit.validation_probabilities
    )
