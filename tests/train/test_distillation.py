"""What a teacher says of images is learned beside their labels."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from train.resume_job import made_examples
from trained import LAYOUT, Tiny
from workzone.backbones.base import Backbone
from workzone.config import from_mapping
from workzone.data.manifest import Manifest
from workzone.decide.bundle import read_bundle
from workzone.errors import TrainingError, UsageError
from workzone.features.extract import Extraction, make_spec
from workzone.features.masks import FULL, MaskTargets
from workzone.train import distillation
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.job import Trained, train
from workzone.train.judging import predict_probabilities
from workzone.train.losses import distillation_loss
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.processes import Processes
from workzone.train.search.study import refuse_pixels
from workzone.train.settings import DistillConfig, RunConfig, TrainConfig

NAN = float("nan")


def test_the_loss_is_the_divergence_of_softened_answers() -> None:
    logits = torch.tensor([[0.3, -0.2], [-2.0, 1.0], [0.0, 4.0]], requires_grad=True)
    teacher = torch.tensor([1.5, 3.0, NAN])
    found = distillation_loss(logits, teacher, 2.0)
    for row in range(2):
        target = torch.softmax(torch.tensor([0.0, float(teacher[row])]) / 2, dim=0)
        own = F.log_softmax(logits[row] / 2, dim=0)
        expected = 4 * F.kl_div(own, target, reduction="sum")
        torch.testing.assert_close(found[row], expected)
    assert float(found[1].detach()) == pytest.approx(0, abs=1e-6)  # it says the same already
    assert float(found[2].detach()) == 0
    found.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert logits.grad[2].tolist() == [0, 0]


def test_a_copy_that_lost_its_road_work_has_no_teacher() -> None:
    covered = np.zeros((3, 2, 6, 2, 2), np.uint8)
    covered[:2, 0] = FULL
    covered[0, 1] = FULL  # the second image's copy shows nothing any more
    examples = Examples(
        labels=torch.tensor([1, 1, 0]),
        rows=torch.zeros(3, 2, dtype=torch.int64),
        features=torch.zeros(1, 1, 4),
        masks=MaskTargets(covered, np.ones((3, 2), np.bool_)),
        teacher=torch.tensor([2.0, 3.0, -1.0]),
    )
    truth = examples.truth(torch.arange(3), torch.ones(3, dtype=torch.int64))
    assert truth.labels.tolist() == [1, 0, 0]
    assert truth.teacher is not None
    np.testing.assert_array_equal(truth.teacher.numpy(), np.float32([2, NAN, -1]))
    whole = examples.truth(torch.arange(3), torch.zeros(3, dtype=torch.int64)).teacher
    assert whole is not None and whole.tolist() == [2, 3, -1]


def test_a_student_learns_what_the_teacher_says_where_labels_say_nothing() -> None:
    """The teacher looks at another feature than that which the labels follow."""
    plain = made_examples()
    plain = dataclasses.replace(plain, rows=plain.rows[:, :1])
    said = 5 * plain.features[plain.rows[:, 0], :, 1].mean(dim=1)
    told = dataclasses.replace(plain, teacher=said)
    distill = DistillConfig(teacher="", weight=30.0, temperature=1.0)
    folds = [np.arange(0, 96, 2)]

    def agreement(config: TrainConfig) -> float:
        found = fit(told, folds, config).validation_probabilities
        return float(np.corrcoef(np.log(found / (1 - found)), said.numpy()[folds[0]])[0, 1])

    config = TrainConfig(detector=dataclasses.replace(TrainConfig().detector, glance=None))
    fast = OptimizerConfig(learning_rate=1e-2)
    config = dataclasses.replace(config, epochs=30, batch=16, patience=30, optimizer=fast)
    assert agreement(config) < 0.5
    assert agreement(dataclasses.replace(config, distill=distill)) > 0.6
    with pytest.raises(TrainingError, match="no teacher has judged these images"):
        fit(plain, folds, dataclasses.replace(config, distill=distill))


@pytest.fixture(scope="module")
def config(tiny: Tiny) -> TrainConfig:
    return TrainConfig(epochs=3, batch=16, distill=DistillConfig(teacher=str(tiny.bundle)))


def job(
    tiny: Tiny, lite0: Backbone, config: TrainConfig, manifest: Manifest | None = None, **more: Any
) -> Trained:
    spec = make_spec(lite0, layout=LAYOUT, grid_views=(0,))
    return train(manifest or tiny.manifest, lite0, spec, tiny.store, config, **more)


def test_its_word_is_kept_with_the_run_and_a_stopped_one_does_not_ask_again(
    tiny: Tiny,
    lite0: Backbone,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stopped(Exception):
        pass

    class Alone(Processes):
        calls = 0

        def any(self, flag: bool) -> bool:
            self.calls += 1
            if self.calls == 5:
                raise Stopped
            return flag

    def weights(result: Trained) -> dict[str, bytes]:
        return {n: v.numpy().tobytes() for n, v in result.bundle.detector.state_dict().items()}

    config = dataclasses.replace(config, run=RunConfig(checkpoint_seconds=0))
    whole = job(tiny, lite0, config)
    with pytest.raises(Stopped):
        job(tiny, lite0, config, run_folder=tmp_path / "run", together=Alone())
    said = json.loads((tmp_path / "run" / "teacher.json").read_text())
    monkeypatch.setattr(distillation, "Extraction", None)
    assert weights(job(tiny, lite0, config, run_folder=tmp_path / "run")) == weights(whole)

    teacher, learning = read_bundle(tiny.bundle), list(tiny.manifest.in_split("train", "val"))
    assert said.keys() == {s.content_hash for s in learning}
    store = Extraction(tiny.manifest, lite0, teacher.spec, tiny.store).run()
    rows = [store.row(s.content_hash or "") for s in learning]
    given = made_input(store, rows)
    odds = [said[s.content_hash] for s in learning]
    expected = predict_probabilities(teacher.detector, given)
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(odds))), expected, rtol=1e-4)

    without = job(tiny, lite0, dataclasses.replace(config, distill=None))
    assert weights(without) != weights(whole)
    provenance = whole.bundle.provenance
    assert provenance["teacher"] == teacher.identity()
    assert "teacher" not in without.bundle.provenance
    (warning,) = [line for line in provenance["warnings"] if "Distillation" in line]
    assert "the teacher has learned from 14 of 14 validation rows" in warning


def made_input(store: Any, rows: list[int]) -> Any:
    from workzone.model.inputs import DetectorInput

    return DetectorInput(
        features=store.read("pooled", rows),
        boxes=store.read("boxes", rows),
        grid=store.grid((0,))[rows].float(),
        grid_size=store.spec.grid_size,
    )


def test_what_the_teacher_has_seen_was_learned_from_too(
    tiny: Tiny, lite0: Backbone, config: TrainConfig
) -> None:
    samples = [s for s in tiny.manifest if s.split != "test"]
    fewer = tiny.manifest.with_samples(samples[6:])
    result = job(tiny, lite0, dataclasses.replace(config, epochs=1), fewer)
    teacher = read_bundle(tiny.bundle)
    assert result.bundle.training_images == teacher.training_images
    assert {s.content_hash for s in fewer} < teacher.training_images
    assert result.bundle.training_groups == teacher.training_groups


def test_a_teacher_that_knows_the_test_rows_is_refused(
    tiny: Tiny, lite0: Backbone, config: TrainConfig, tmp_path: Path
) -> None:
    samples = list(tiny.manifest.in_split("train", "val"))
    moved = [dataclasses.replace(s, split="test") if s.group == "clip-0" else s for s in samples]
    with pytest.raises(TrainingError, match=r"has learned from 2 of 2 test rows, .* such as '00'"):
        job(tiny, lite0, config, tiny.manifest.with_samples(moved))


def test_a_teacher_that_is_none_is_named(
    tiny: Tiny, lite0: Backbone, config: TrainConfig, tmp_path: Path
) -> None:
    nobody = dataclasses.replace(config, distill=DistillConfig(teacher=str(tmp_path)))
    with pytest.raises(TrainingError, match=r"distill.teacher: no model bundle at"):
        job(tiny, lite0, nobody)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distill": {}}, r"distill.teacher: missing"),
        (
            {"distill": {"teacher": "m", "weight": 0, "temperature": 0.0}},
            r"distill: weight=0.0, allowed: 1e-06 to 1000.0; temperature=0.0, allowed: 0.1 to 100",
        ),
        (
            {"distill": {"teacher": "m"}, "augment": {"cutmix": 0.2}},
            r"the teacher judges whole images; leave mixup and cutmix out",
        ),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_mapping(TrainConfig, settings, where="settings")


def test_settings_are_not_searched_with_a_teacher(config: TrainConfig) -> None:
    with pytest.raises(UsageError, match="without a teacher: leave distill out"):
        refuse_pixels(config)
