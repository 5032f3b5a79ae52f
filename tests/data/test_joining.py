from pathlib import Path

import numpy as np
import pytest
import torch

from workzone.data.joining import join_manifests
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.pseudo_labels import SOURCE
from workzone.data.split_proof import check_split
from workzone.data.splits import split_manifest
from workzone.errors import ManifestError, UsageError
from workzone.train.feed.examples import Examples, rows_apart
from workzone.types import ImageRef, Sample


def test_ids_become_unique_and_paths_lead_to_the_same_files(tmp_path):
    for name in "ab":
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "images" / "x.jpg").write_text(name)
    first = Manifest(
        [
            Sample("x", ImageRef("images/x.jpg"), label=1, group="g", masks="images/x.jpg"),
            Sample("x-2", ImageRef("/far/y.jpg")),
        ],
        tmp_path / "a",
    )
    second = Manifest(
        [Sample("x", ImageRef("images/x.jpg"), group="g", split="val")], tmp_path / "b"
    )
    joined = join_manifests([first, second], tmp_path / "out")
    assert [s.id for s in joined.manifest] == ["x", "x-2", "x-3"] and joined.renamed == 1
    write_manifest(joined.manifest, tmp_path / "out" / "all.parquet")
    back = read_manifest(tmp_path / "out" / "all.parquet")
    texts = [(back.root / s.image.path).read_text() for s in (back.samples[0], back.samples[2])]
    assert texts == ["a", "b"]
    assert Path(back.root / str(back.samples[0].masks)).read_text() == "a"
    assert back.samples[1].image.path == "/far/y.jpg"
    assert [s.group for s in back] == ["g", None, "g"] and back.samples[2].split == "val"


def test_copies_are_told_and_two_labels_refused(tmp_path):
    def of(name, label):
        row = Sample(name, ImageRef(name), label=label, content_hash="00")
        return Manifest([row, Sample(f"{name}-other", ImageRef("o"))], tmp_path)

    joined = join_manifests([of("a", 0), of("b", 0), of("c", None)], tmp_path)
    assert joined.copies == [("a", "b", "c")] and joined.renamed == 0
    with pytest.raises(ManifestError, match="'a' and 'b' are the same image, with label 0 and"):
        join_manifests([of("a", 0), of("b", 1)], tmp_path)
    with pytest.raises(UsageError, match="1 manifest to join; name at least two"):
        join_manifests([of("a", 0)], tmp_path)


def test_a_models_label_gives_way_to_a_true_one(tmp_path):
    def of(name, label, source, image):
        return Sample(name, ImageRef(name), label=label, source=source, content_hash=image)

    true = Manifest([of("a", 0, "own", "00"), of("b", None, "own", "11")], tmp_path)
    pseudo = [of(name, 1, SOURCE, image) for name, image in (("x", "00"), ("y", "11"), ("z", None))]
    joined = join_manifests([Manifest(pseudo, tmp_path), true], tmp_path)
    assert [s.id for s in joined.manifest] == ["y", "z", "a", "b"]
    assert joined.outdone == 1


@pytest.fixture
def mixed():
    """24 photographs in 12 groups, a composite of each, and drawn scenes of their own groups."""
    rows = []
    for number in range(24):
        group = f"g{number // 2}"
        ref = ImageRef(f"{number}.jpg")
        rows += [
            Sample(f"photo-{number}", ref, label=number // 2 % 2, group=group, source="web"),
            Sample(f"made-{number}", ref, label=number % 2, group=group, source="composite"),
            Sample(f"drawn-{number}", ref, label=number % 2, group=f"d{number}", source="drawn"),
        ]
    return Manifest(rows, Path())


@pytest.mark.parametrize("folds", [None, 3])
def test_sources_that_only_train_are_never_in_a_split_that_judges(mixed, folds):
    done, proof = split_manifest(mixed, folds=folds, train_only=["composite", "drawn"])
    assert proof.problems == []
    of = {s.id: s.split for s in done}
    alone, _ = split_manifest(
        mixed.with_samples([s for s in mixed if s.source == "web"]), folds=folds
    )
    assert {s.id: s.split for s in alone}.items() <= of.items()  # photographs as without them
    for number in range(24):
        split = of[f"photo-{number}"]
        assert of[f"made-{number}"] == ("train" if split == "train" else f"not-{split}")
        assert of[f"drawn-{number}"] == "train"


def test_no_model_learns_from_composites_of_what_validates_it(mixed):
    done, _ = split_manifest(mixed, folds=3, train_only=["composite", "drawn"])
    samples = list(done)
    fold = np.array([row for row, s in enumerate(samples) if s.split == "fold-1"])
    groups = {samples[row].group for row in fold}
    expected = [row for row, s in enumerate(samples) if s.group not in groups]
    assert rows_apart(samples, fold).tolist() == expected
    examples = Examples(
        labels=torch.zeros(len(samples), dtype=torch.int64),
        rows=torch.arange(len(samples))[:, None],
        features=torch.zeros(len(samples), 1, 1),
        samples=samples,
    )
    assert examples.all_but(fold).tolist() == expected


def test_a_composite_in_train_of_a_photograph_in_val_is_still_a_leak(mixed):
    done, _ = split_manifest(mixed, train_only=["composite", "drawn"])
    wrong = [
        Sample(s.id, s.image, group=s.group, split=(s.split or "").removeprefix("not-"))
        if s.source != "composite"
        else Sample(s.id, s.image, group=s.group, split="train")
        for s in done
    ]
    assert check_split(done.with_samples(wrong)).shared_groups


def test_wrong_sources_are_named(mixed):
    with pytest.raises(UsageError, match="no row has the source 'composit'; did you mean 'comp"):
        split_manifest(mixed, train_only=["composit"])
    with pytest.raises(ManifestError, match="all rows are of sources that only train"):
        split_manifest(mixed, train_only=["composite", "drawn", "web"])
