"""OWLv2 on tiny random weights, beside transformers' own post-processing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from made_teachers import save, street, tiny_owlv2
from workzone.errors import TeacherError, UsageError
from workzone.teach import owlv2
from workzone.teach.owlv2 import Owlv2Teacher, load_owlv2
from workzone.teach.prompts import ClassPrompt, Prompts

NOBODY = ClassPrompt()
PHRASES = ("cone", "drum", "worker")
ASKED = Prompts(
    ClassPrompt(PHRASES[:2], 0.3), NOBODY, NOBODY, ClassPrompt(PHRASES[2:], 0.3), NOBODY, NOBODY
)


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    return tiny_owlv2()


@torch.no_grad()
def by_transformers(made: tuple[Any, Any], picture: Any) -> dict[str, Any]:
    model, processor = made
    inputs = processor(images=picture, text=[list(PHRASES)], return_tensors="pt")
    size = [picture.shape[:2]]
    return processor.post_process_grounded_object_detection(model(**inputs), 0.3, size)[0]


def test_boxes_are_those_of_transformers(
    made: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owlv2, "DOUBLE", 1.0)  # keep all that overlap
    pictures = [street(1), street(2, 150, 70), street(3)]
    found = Owlv2Teacher(*made, ASKED).look(pictures, [()] * 3)
    for picture, look in zip(pictures, found, strict=True):
        expected = by_transformers(made, picture)
        height, width = picture.shape[:2]
        kept = []
        rows = (expected[name].tolist() for name in ("scores", "labels", "boxes"))
        for score, label, box in zip(*rows, strict=True):
            left, top, right, bottom = (round(edge) for edge in box)
            if max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height):
                kept.append((label, *box, score))
        mine = [(PHRASES.index(o.phrase), *o.box, o.score) for o in look.instances]
        assert len(mine) > 5
        assert np.array(sorted(mine)) == pytest.approx(np.array(sorted(kept)), abs=1e-3)
        for item in look.instances:
            left, top, right, bottom = (round(edge) for edge in item.box)
            mask = np.zeros((height, width), np.bool_)
            mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
            assert (item.area.in_frame(height, width) == mask).all()


def test_of_boxes_that_overlap_the_surest_stays(made: tuple[Any, Any]) -> None:
    (found,) = Owlv2Teacher(*made, ASKED).look([street(1)], [()])
    everything = by_transformers(made, street(1))
    assert len(found.instances) < len(everything["scores"])
    for name in ("cone", "worker"):
        boxes = torch.tensor([item.box for item in found.instances if item.name == name])
        overlaps = box_iou(boxes, boxes) - torch.eye(len(boxes))
        assert overlaps.max() <= 0.5
    best = max(item.score for item in found.instances)
    assert best == pytest.approx(float(everything["scores"].max()), abs=1e-5)
    assert found.presence["cone"] >= best or found.presence["worker"] >= best
    assert not found.regions


def test_it_loads_from_a_folder(made: tuple[Any, Any], tmp_path: Path) -> None:
    folder = save(made, tmp_path / "owlv2")
    teacher = load_owlv2(ASKED, folder)
    assert teacher.about.gives == "boxes"
    assert not teacher.takes_exemplars
    scores = [
        [item.score for item in each.look([street(1)], [()])[0].instances]
        for each in (teacher, Owlv2Teacher(*made, ASKED))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    long = Prompts(ClassPrompt(("fifteen letters!",)), *[NOBODY] * 5)
    with pytest.raises(
        UsageError, match=r"owlv2 reads at most 16 tokens.*cone: 'fifteen letters!'"
    ):
        load_owlv2(long, folder)


def test_scores_that_are_no_numbers_stop_it() -> None:
    model, processor = tiny_owlv2()
    model.class_head.logit_shift.bias[:] = np.nan
    with pytest.raises(TeacherError, match="no finite numbers in float32"):
        Owlv2Teacher(model, processor, ASKED).look([street(1)], [()])
