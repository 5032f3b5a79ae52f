from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from told import HashModel, told_bundle
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.bundle_json import check_model, shipped_bundle, shipped_name
from workzone.decide.calibration import Calibration
from workzone.errors import BundleError, UsageError, WorkzoneError
from workzone.features.spec import FeatureSpec
from workzone.features.text_spec import TextSpec
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.train.judging import predict_probabilities
from workzone.views import ViewLayout

D = 8
FILES = ["NOTICE.txt", "bundle.json", "detector.safetensors", "training.json"]


def made_bundle(seed: int = 0) -> Bundle:
    torch.manual_seed(seed)
    detector = Detector(DetectorConfig(width=D, gate_hidden=4))
    for parameter in detector.parameters():
        torch.nn.init.normal_(parameter)
    detector.fit_scaler(torch.randn(20, 3, D) * 4 + 1)
    return Bundle(
        detector=detector.eval(),
        spec=FeatureSpec(
            backbone="lite0",
            weight_hash="0" * 32,
            width=D,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            pooling="mean",
            layout=ViewLayout(size=64, tiles=0, boxes=((0.1, 0.2, 0.3, 0.4),)),
        ),
        calibration=Calibration(0.1 + 0.2, 1.7),
        backbone_licence="Apache-2.0",
        provenance={"sources": ["roads-a", "roads-b"], "rows": 3, "seed": seed},
        training_images=frozenset({"aa", "bb"}),
        training_groups=frozenset({"clip-1"}),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(made_bundle(), tmp_path / "model")
    return tmp_path / "model"


def test_a_bundle_comes_back_as_it_was(folder: Path) -> None:
    written, read = made_bundle(), read_bundle(folder)
    for field in dataclasses.fields(Bundle):
        if field.name != "detector":
            assert getattr(read, field.name) == getattr(written, field.name), field.name
    given = DetectorInput(features=torch.randn(50, 3, D))
    expected = written.calibration.apply(predict_probabilities(written.detector, given))
    result = read.calibration.apply(predict_probabilities(read.detector, given))
    assert result.tolist() == expected.tolist()  # to the last bit
    assert not read.detector.training
    assert read.identity() == written.identity()


def without_share(folder: Path, threshold: float) -> Bundle:
    """A bundle as they were before a calibration told its share."""
    file = folder / "bundle.json"
    description = json.loads(file.read_text())
    description["calibration"] = {"threshold": threshold, "slope": 1.7}
    file.write_text(json.dumps(description))
    return read_bundle(folder)


def test_an_older_bundle_whose_cut_was_chosen_is_not_moved_to_another_share(folder: Path) -> None:
    bundle = without_share(folder, 0.3)
    assert bundle.calibration.share is None
    assert float(bundle.calibration.apply(0.31)) > 0.5
    with pytest.raises(UsageError, match=r"made before .*: train again, or leave --share out"):
        bundle.with_share(0.02)


def test_an_older_bundle_whose_cut_was_kept_holds_for_one_half(folder: Path) -> None:
    assert without_share(folder, 0.5).with_share(0.02).calibration.share == 0.02


def test_nothing_in_it_is_pickled(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for name in ("bundle.json", "training.json"):
        json.loads((folder / name).read_text())
    safetensors.torch.load_file(folder / "detector.safetensors")
    for path in folder.iterdir():
        assert not path.read_bytes().startswith((b"\x80", b"PK"))  # pickle, torch.save


def test_the_identity_changes_with_all_that_changes_a_probability() -> None:
    bundle = made_bundle()
    spec = dataclasses.replace(bundle.spec, pooling="max")
    others = [
        made_bundle(1),
        dataclasses.replace(bundle, calibration=Calibration(0.3, 1.7)),
        dataclasses.replace(bundle, spec=spec),
        bundle.with_share(0.1),
    ]
    assert len({bundle.identity(), *(other.identity() for other in others)}) == 5
    assert bundle.with_share(None) is bundle
    assert dataclasses.replace(bundle, provenance={}).identity() == bundle.identity()


def test_the_notice_names_licences_and_sources(folder: Path) -> None:
    text = (folder / "NOTICE.txt").read_text()
    assert "backbone lite0" in text
    assert "Licence of its weights: Apache-2.0." in text
    assert "roads-a, roads-b. Their licences decide" in text
    assert "MIT" not in text


@pytest.mark.parametrize("backbone", ["lite0-road", "lite0-road-trunk"])
def test_the_notice_holds_that_of_a_backbone_within_workzone(tmp_path: Path, backbone: str) -> None:
    bundle = made_bundle()
    spec = dataclasses.replace(bundle.spec, backbone=backbone)
    write_bundle(dataclasses.replace(bundle, spec=spec), tmp_path / "model")
    text = (tmp_path / "model" / "NOTICE.txt").read_text()
    assert "The MIT License (MIT)\n\nCopyright (c) 2015 mapillary" in text


@pytest.mark.parametrize("name", ["bundle.json", "detector.safetensors", "training.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"no model bundle at .*: {name} missing.*`workzone tr"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["detector.safetensors", "training.json"])
def test_files_of_two_bundles_do_not_mix(folder: Path, tmp_path: Path, name: str) -> None:
    other = dataclasses.replace(made_bundle(1), training_groups=frozenset({"clip-2"}))
    write_bundle(other, tmp_path / "other")
    shutil.copy(tmp_path / "other" / name, folder / name)
    with pytest.raises(BundleError, match=rf"{name} is not the file that bundle.json describes"):
        read_bundle(folder)


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads((folder / "bundle.json").read_text())
    edit(description)
    (folder / "bundle.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(format=99), r"bundle format 99, this version of workzone reads 2; upd"),
        (lambda d: d.pop("calibration"), "is damaged: 'calibration' is missing"),
        (lambda d: d["calibration"].update(slope=float("nan")), "a slope above 0"),
        (lambda d: d["calibration"].update(treshold=0.4), "treshold: .* did you mean 'threshold'"),
        (lambda d: d["detector"].update(width=9), "takes features of width 9, its features have 8"),
        (lambda d: d["detector"].update(gate_hidden=9), "is damaged: .*size mismatch"),
        (lambda d: d["features"].update(preprocessing=-1), "made with preprocessing -1, this"),
        (lambda d: d.update(features=[]), "is damaged: spec: .*expected keys and values"),
    ],
)
def test_a_damaged_description_is_told(
    folder: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change(folder, edit)
    with pytest.raises(BundleError, match=rf"(?s){message}"):
        read_bundle(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\x01"])
def test_a_description_that_is_none_is_told(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="is damaged"):
        read_bundle(folder)


@pytest.mark.parametrize("part", ["head.1.weight", "feature_mean"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, part: str) -> None:
    bundle = made_bundle()
    bundle.detector.state_dict()[part].view(-1)[0] = float("nan")
    write_bundle(bundle, tmp_path / "model")
    with pytest.raises(BundleError, match=rf"{part} hold values that are not finite"):
        read_bundle(tmp_path / "model")


def test_there_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*name another with --model"):
        read_bundle(tmp_path / "nothing")


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="is not empty and not a bundle; name another folder"):
        write_bundle(made_bundle(), tmp_path)
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"
    with pytest.raises(BundleError, match="is not empty and not a bundle"):
        write_bundle(made_bundle(), tmp_path / "photo.jpg")


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    write_bundle(made_bundle(), Path("model"))
    assert read_bundle(Path("model")).provenance["seed"] == 0


def test_an_older_bundle_is_replaced_whole(folder: Path) -> None:
    (folder / "left-over.txt").write_text("of the old one")
    write_bundle(made_bundle(7), folder)
    assert read_bundle(folder).provenance["seed"] == 7
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("step", ["training.json", "bundle.json", "model"])
def test_a_failure_leaves_the_older_bundle(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """``step``: the rename at which the disk gives up; ``model`` is the last, of the folder."""
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if Path(target).name == step and ".old" not in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WorkzoneError, match=r"cannot write .*: No space left on device"):
        write_bundle(made_bundle(7), folder)
    monkeypatch.undo()
    assert read_bundle(folder).provenance["seed"] == 0
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


TEXT = HashModel().spec


def test_a_bundle_with_metadata_comes_back_as_it_was(tmp_path: Path) -> None:
    written = told_bundle(made_bundle(), text=TEXT)
    write_bundle(written, tmp_path / "model")
    read = read_bundle(tmp_path / "model")
    assert read.metadata_calibration == Calibration(0.3, 0.8)
    assert read.text_model == TEXT
    assert read.detector.config == written.detector.config
    assert read.identity() == written.identity()
    assert read_bundle(tmp_path / "model").calibration == made_bundle().calibration


def test_the_identity_covers_what_is_done_with_metadata() -> None:
    def with_text(**changes: Any) -> Bundle:
        return told_bundle(made_bundle(), text=dataclasses.replace(TEXT, **changes))

    bundle = with_text()
    config = bundle.detector.config
    assert config.metadata is not None
    swapped = dataclasses.replace(config.metadata, daytime_values=("night", "day"))
    detector = Detector(dataclasses.replace(config, metadata=swapped))
    detector.load_state_dict(bundle.detector.state_dict())
    others = [
        made_bundle(),
        told_bundle(made_bundle()),
        with_text(weight_hash="11"),
        dataclasses.replace(bundle, metadata_calibration=Calibration(0.3, 0.9)),
        dataclasses.replace(bundle, detector=detector),
    ]
    assert len({bundle.identity(), *(other.identity() for other in others)}) == 6
    assert with_text().identity() == bundle.identity()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(metadata_calibration=None), "has a metadata_calibration if, and only"),
        (lambda d: d.pop("metadata_calibration"), "'metadata_calibration' is missing"),
        (lambda d: d["metadata_calibration"].update(slope=-1), "a slope above 0"),
        (
            lambda d: d.update(text_model=None),
            r"takes text vectors of width 4 and key \w+, its tex",
        ),
        (
            lambda d: d["text_model"].update(weight_hash="ff"),
            "text vectors of width 4 and key .*nam",
        ),
        (lambda d: d["text_model"].update(width=5), "its text_model gives width 5 and key"),
        (lambda d: d["detector"]["metadata"].update(text_key="ff"), "of width 4 and key ff, its"),
        (lambda d: d["detector"].update(metadata=None), "Unexpected key.*metadata.tables"),
    ],
)
def test_metadata_that_do_not_fit_are_damage(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_bundle(told_bundle(made_bundle(), text=TEXT), tmp_path / "model")
    change(tmp_path / "model", edit)
    with pytest.raises(BundleError, match=rf"(?s)the bundle at .* is damaged: .*{message}"):
        read_bundle(tmp_path / "model")


@pytest.mark.parametrize(
    "changes", [{"metadata_calibration": Calibration()}, {"text_model": TEXT}], ids=str
)
def test_parts_that_do_not_fit_make_no_bundle(changes: dict[str, Calibration | TextSpec]) -> None:
    with pytest.raises(UsageError, match=r"detector takes (metadata|text vectors of width 0)"):
        dataclasses.replace(made_bundle(), **changes)


def test_the_default_model_is_the_one_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    with pytest.raises(BundleError, match=r"no model lite comes with .*weights/lite\)\. Make one"):
        shipped_bundle()
    (tmp_path / "weights" / "lite").mkdir(parents=True)
    (tmp_path / "weights" / "lite" / "bundle.json").write_text("{}")
    assert shipped_bundle() == tmp_path / "weights" / "lite"


def test_a_model_within_workzone_has_a_name_that_a_folder_goes_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped_name(None) == "lite"
    assert shipped_name(Path("lite")) == "lite"
    assert shipped_name(Path("mine")) is None
    Path("lite").mkdir()  # of something else
    assert shipped_name(Path("lite")) == "lite"
    write_bundle(made_bundle(), Path("lite"))
    assert shipped_name(Path("lite")) is None


def test_a_mistyped_name_of_a_model_within_workzone_is_told():
    with pytest.raises(BundleError, match=r"at lte: .*within workzone: did you mean 'lite'\?"):
        check_model(Path("lte"))
