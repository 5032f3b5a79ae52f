"""SAM 3 on tiny random weights, beside transformers' own loop and post-processing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from made_teachers import SIDE, save, street, tiny_sam3
from workzone.errors import TeacherError, UsageError
from workzone.teach.exemplars import Exemplar
from workzone.teach.findings import Findings
from workzone.teach.prompts import ClassPrompt, Prompts
from workzone.teach.sam3 import SAM3_LITE, Sam3Teacher, load_sam3

NOBODY = ClassPrompt()
LOW = 0.05


def prompts(**classes: ClassPrompt) -> Prompts:
    names = ("cone", "barrier", "sign", "worker", "vehicle", "equipment")
    return Prompts(**{name: classes.get(name, NOBODY) for name in names})


ASKED = prompts(
    cone=ClassPrompt(("cone", "drum"), LOW, 0.4),
    worker=ClassPrompt(("worker",), 0.1, 0.5),
    sign=ClassPrompt(("a sign",), LOW, 0.6),
)


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    return tiny_sam3()


@pytest.fixture(scope="module")
def lite() -> tuple[Any, Any]:
    return tiny_sam3(lite=True)


@torch.no_grad()
def asked_alone(made: tuple[Any, Any], picture: Any, phrase: str, **boxes: Any) -> Any:
    """The plain way: one picture, one phrase, all through the processor."""
    model, processor = made
    inputs = processor(images=picture, text=phrase, return_tensors="pt", **boxes)
    inputs.pop("original_sizes")
    return model(**inputs)


def check_same(
    made: tuple[Any, Any], found: Findings, picture: Any, asked: Prompts, **boxes: Any
) -> int:
    """Compare with one phrase after the other, post-processed by transformers."""
    _, processor = made
    objects = 0
    for name, phrase in asked.pairs():
        outputs = asked_alone(made, picture, phrase, **boxes.get(name, {}))
        prompt = asked.of(name)
        (expected,) = processor.post_process_instance_segmentation(
            outputs, prompt.threshold, prompt.mask_threshold, target_sizes=[picture.shape[:2]]
        )
        mine = [item for item in found.instances if item.phrase == phrase]
        kept = [number for number, mask in enumerate(expected["masks"]) if mask.any()]
        assert len(mine) == len(kept)
        for item, number in zip(mine, kept, strict=True):
            assert item.name == name
            assert item.score == pytest.approx(float(expected["scores"][number]), abs=1e-5)
            assert item.box == pytest.approx(expected["boxes"][number].tolist(), abs=1e-2)
            mask = expected["masks"][number].numpy().astype(bool)
            assert (item.area.in_frame(*picture.shape[:2]) != mask).mean() < 1e-3
        objects += len(mine)
    return objects


@pytest.mark.parametrize("kind", ["made", "lite"])
def test_a_batch_of_phrases_is_the_loop_over_them(
    kind: str, request: pytest.FixtureRequest
) -> None:
    both = request.getfixturevalue(kind)
    teacher = Sam3Teacher(*both, ASKED)
    pictures = [street(1), street(2, 70, 150)]
    found = teacher.look(pictures, [(), ()])
    counts = [check_same(both, *pair, ASKED) for pair in zip(found, pictures, strict=True)]
    assert min(counts) > 4
    for picture, look in zip(pictures, found, strict=True):
        for name in ASKED.classes:
            present = [
                float(asked_alone(both, picture, phrase).presence_logits.sigmoid())
                for phrase in ASKED.of(name).phrases
            ]
            assert look.presence[name] == pytest.approx(max(present), abs=1e-5)
        assert set(look.presence) == {"cone", "sign", "worker"}


def test_answers_differ_by_picture_and_by_phrase(made: tuple[Any, Any]) -> None:
    """Or the comparisons here would prove nothing."""
    one, two = (asked_alone(made, street(n), "cone").pred_logits for n in (1, 2))
    three = asked_alone(made, street(1), "worker").pred_logits
    assert (one - two).abs().max() > 0.01
    assert (one - three).abs().max() > 0.01


def test_an_image_is_encoded_once(made: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = made
    calls: dict[str, list[int]] = {"vision": [], "text": [], "rows": []}
    vision, text, decoder = model.vision_encoder, model.text_encoder, model.detr_decoder
    hooks = [
        vision.register_forward_hook(lambda m, a, o: calls["vision"].append(len(a[0]))),
        text.register_forward_hook(lambda m, a, o: calls["text"].append(1)),
        decoder.register_forward_hook(
            lambda m, a, k, o: calls["rows"].append(len(k["vision_features"])), with_kwargs=True
        ),
    ]
    try:
        teacher = Sam3Teacher(*made, ASKED)
        teacher.look([street(1), street(2), street(3)], [()] * 3)
        teacher.look([street(4)], [()])
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == {"vision": [3, 1], "text": [1], "rows": [4] * 4}


def test_fewer_rows_give_the_same(made: tuple[Any, Any]) -> None:
    whole, parts = (
        Sam3Teacher(*made, ASKED, rows=rows).look([street(5)], [()])[0] for rows in (8, 1)
    )
    assert len(whole.instances) == len(parts.instances) > 0
    for one, two in zip(whole.instances, parts.instances, strict=True):
        assert one.score == pytest.approx(two.score, abs=1e-5)


SHOWN = (
    Exemplar("cone", (10.0, 20.0, 40.0, 60.0)),
    Exemplar("cone", (60.0, 10.0, 80.0, 30.0), positive=False),
    Exemplar("worker", (50.0, 30.0, 90.0, 80.0)),
)


def as_inputs(*exemplars: Exemplar) -> dict[str, Any]:
    return {
        "input_boxes": [[list(item.box) for item in exemplars]],
        "input_boxes_labels": [[int(item.positive) for item in exemplars]],
    }


def test_exemplars_are_what_the_processor_makes_of_boxes(made: tuple[Any, Any]) -> None:
    teacher = Sam3Teacher(*made, ASKED)
    plain, shown = (teacher.look([street(1)], [boxes])[0] for boxes in ((), SHOWN))
    boxes = {"cone": as_inputs(*SHOWN[:2]), "worker": as_inputs(SHOWN[2])}
    assert check_same(made, shown, street(1), ASKED, **boxes) > 4
    turned = (dataclasses.replace(SHOWN[0], positive=False), *SHOWN[1:])
    (other,) = teacher.look([street(1)], [turned])

    def scores(found: Findings, name: str) -> list[float]:
        return [round(item.score, 4) for item in found.instances if item.name == name]

    assert scores(plain, "sign") == scores(shown, "sign")  # no box of a sign: asked as without
    assert scores(plain, "worker") != scores(shown, "worker")
    assert scores(shown, "cone") != scores(other, "cone")


def test_boxes_alone_ask_for_a_class_without_phrases(made: tuple[Any, Any]) -> None:
    asked = prompts(cone=ClassPrompt(("cone",), LOW), vehicle=ClassPrompt((), LOW))
    teacher = Sam3Teacher(*made, asked)
    box = Exemplar("vehicle", (10.0, 20.0, 40.0, 60.0))
    plain, shown = teacher.look([street(1), street(1)], [(), (box,)])
    assert set(plain.presence) == {"cone"}
    assert set(shown.presence) == {"cone", "vehicle"}
    visual = dataclasses.replace(asked, vehicle=ClassPrompt(("visual",), LOW), cone=NOBODY)
    found = [item for item in shown.instances if item.name == "vehicle"]
    look = Findings(tuple(found), shown.presence)
    assert check_same(made, look, street(1), visual, vehicle=as_inputs(box)) > 0


def test_semantic_masks_are_those_of_transformers(made: tuple[Any, Any]) -> None:
    asked = prompts(worker=ClassPrompt(("worker",), LOW, 0.5), cone=ClassPrompt(("cone",), 0.95))
    (found,) = Sam3Teacher(*made, asked, semantic=True).look([street(1)], [()])
    outputs = asked_alone(made, street(1), "worker")
    expected = made[1].post_process_semantic_segmentation(outputs, [(90, 120)], 0.5)[0]
    assert set(found.regions) == {"worker"}  # of cones the model is not sure enough
    mask = found.regions["worker"].in_frame(90, 120)
    assert 0 < mask.sum() < mask.size
    assert (mask != expected.numpy().astype(bool)).mean() < 1e-3
    (plain,) = Sam3Teacher(*made, asked).look([street(1)], [()])
    assert not plain.regions


def test_it_loads_from_a_folder_in_either_precision(made: tuple[Any, Any], tmp_path: Path) -> None:
    folder = save(made, tmp_path / "sam3")
    teacher = load_sam3(ASKED, folder)
    direct = Sam3Teacher(*made, ASKED)
    one, two = (each.look([street(1)], [SHOWN])[0] for each in (teacher, direct))
    scores = [[item.score for item in found.instances] for found in (one, two)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert teacher.about.side == SIDE
    assert teacher.about.parameters == sum(p.numel() for p in made[0].parameters())
    assert teacher.about.settings["precision"] == "float32"
    rounded = load_sam3(ASKED, folder, precision="bfloat16")
    (found,) = rounded.look([street(1)], [SHOWN])
    assert rounded.about.settings["precision"] == "bfloat16"
    assert found.presence == pytest.approx(one.presence, abs=0.05)
    assert found.presence != one.presence
    assert teacher.about.weights == rounded.about.weights != ""
    other = save(tiny_sam3(seed=1), tmp_path / "other")
    assert load_sam3(ASKED, other).about.weights != teacher.about.weights


def test_the_lighter_text_tower_loads(lite: tuple[Any, Any], tmp_path: Path) -> None:
    folder = save(lite, tmp_path / "lite")
    teacher = load_sam3(ASKED, folder, published=SAM3_LITE)
    assert teacher.about.name == "sam3-lite"
    assert check_same(lite, teacher.look([street(3)], [()])[0], street(3), ASKED) > 0
    with pytest.raises(TeacherError, match=r"type 'sam3_lite_text', not 'sam3'.*--teacher"):
        load_sam3(ASKED, folder)


@pytest.mark.parametrize("kind", ["made", "lite"])
def test_long_phrases_are_refused_before_weights_are_read(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = save(request.getfixturevalue(kind), tmp_path / "sam3")
    (folder / "model.safetensors").write_bytes(b"not read")
    asked = prompts(
        cone=ClassPrompt(("x" * 30, "y" * 31)),
        worker=ClassPrompt(("a worker in a safety vest" * 2,)),
    )
    published = {"published": SAM3_LITE} if kind == "lite" else {}
    with pytest.raises(UsageError) as caught:
        load_sam3(asked, folder, **published)
    lines = str(caught.value).splitlines()
    assert "at most 32 tokens" in lines[0]
    assert len(lines) == 3
    assert "cone: 'yyy" in lines[1] and lines[1].endswith("has 33 tokens")
    assert lines[2].strip().startswith("worker: ")
    with pytest.raises(TeacherError, match=r"cannot be read.*fetch them again"):
        load_sam3(ASKED, folder, **published)


def test_a_phrase_at_the_limit_runs(made: tuple[Any, Any]) -> None:
    asked = prompts(cone=ClassPrompt(("x" * 30,), 0.0))
    assert Sam3Teacher(*made, asked).look([street(1)], [()])[0].instances


def test_scores_that_are_no_numbers_stop_it() -> None:
    model, processor = tiny_sam3()
    model.dot_product_scoring.query_proj.bias[:] = np.nan
    with pytest.raises(TeacherError, match="no finite numbers in float32"):
        Sam3Teacher(model, processor, ASKED).look([street(1)], [()])


def test_the_folder_of_the_video_model_loads(made: tuple[Any, Any], tmp_path: Path) -> None:
    """As transformers publishes SAM 3: the detector within the video model, beside a tracker."""
    folder = save(made, tmp_path / "sam3")
    config = json.loads((folder / "config.json").read_text())
    video = {"model_type": "sam3_video", "detector_config": config, "tracker_config": {}}
    (folder / "config.json").write_text(json.dumps(video))
    tensors = load_file(folder / "model.safetensors")
    moved = {f"detector_model.{name}": tensor for name, tensor in tensors.items()}
    moved["tracker_model.no_memory_embedding"] = torch.zeros(3)
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    teacher = load_sam3(ASKED, folder)
    assert check_same(made, teacher.look([street(3)], [()])[0], street(3), ASKED) > 0
    save_file(dict(list(moved.items())[40:]), folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(TeacherError, match=r"lack \d+ tensors, the first is .*fetch them again"):
        load_sam3(ASKED, folder)
