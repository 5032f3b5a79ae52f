from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from made_images import sample_of
from workzone.data.manifest import Manifest
from workzone.errors import UsageError
from workzone.teach.exemplars import Exemplar, check_in_frames, read_exemplars, within
from workzone.teach.prompts import ClassPrompt, Prompts, read_prompts

HEADER = "id,class,left,top,right,bottom,kind\n"


def pictures(folder: Path) -> Manifest:
    """Two of 120 x 90 pixels, with the ids a and b."""
    files = [folder / f"{name}.png" for name in "ab"]
    for file in files:
        Image.new("RGB", (120, 90)).save(file)
    return Manifest([sample_of(file) for file in files], folder)


def test_six_classes_are_asked_for_by_default() -> None:
    asked = read_prompts(None)
    assert asked.classes == ("cone", "barrier", "sign", "worker", "vehicle", "equipment")
    assert len(list(asked.pairs())) == 6
    assert asked.silent == ()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text(
        "cone: {phrases: [traffic cone, traffic drum], threshold: 0.3}\nequipment: {phrases: []}\n"
    )
    asked = read_prompts(file)
    assert asked.cone == ClassPrompt(("traffic cone", "traffic drum"), 0.3)
    assert asked.barrier == Prompts().barrier
    assert asked.silent == ("equipment",)
    names = ["cone", "cone", "barrier", "sign", "worker", "vehicle"]
    assert [name for name, _ in asked.pairs()] == names


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text(
        "cones: {phrases: [a]}\nbarrier: {phrases: [a, a]}\nsign: {threshold: 1.5}\n"
        "worker: {phrases: [' ']}\n"
    )
    with pytest.raises(UsageError) as caught:
        read_prompts(file)
    text = str(caught.value)
    assert "cones: unknown key; did you mean 'cone'?" in text
    assert "barrier: a phrase is given twice" in text
    assert "sign: threshold is 1.5; give a number from 0 up to, and below, 1" in text
    assert "worker: a phrase is empty" in text
    names = ("cone", "barrier", "sign", "worker", "vehicle", "equipment")
    file.write_text("".join(f"{name}: {{}}\n" for name in names))
    with pytest.raises(UsageError, match="no class has phrases"):
        read_prompts(file)


def test_exemplars_are_read_by_image(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(HEADER + "a,cone,1,2,30,40,positive\na,sign,5,6,7.5,8,negative\n")
    assert read_exemplars(file, pictures(tmp_path)) == {
        "a": [Exemplar("cone", (1, 2, 30, 40)), Exemplar("sign", (5, 6, 7.5, 8), positive=False)]
    }


def test_all_mistakes_of_exemplars_at_once(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(
        HEADER
        + "c,cone,1,2,3,4,positive\na,cones,1,2,3,4,positive\na,cone,5,2,3,4,positive\n"
        + "a,cone,1,2,nan,4,positive\na,cone,1,2,3,4,postive\na,cone,1,2,3\n"
        + "b,sign,1,2,3,91,positive\n"
    )
    with pytest.raises(UsageError) as caught:
        read_exemplars(file, pictures(tmp_path))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file}:"
    assert lines[1].endswith("line 2: the manifest has no image 'c'; allowed: a, b")
    assert "line 3: class 'cones'; did you mean 'cone'?" in lines[2]
    assert "line 4: no box: left 5.0, right 3.0" in lines[3]
    assert "line 5: 1,2,nan,4 are no four numbers" in lines[4]
    assert "line 6: kind 'postive'; did you mean 'positive'?" in lines[5]
    assert lines[6].startswith("  line 7: ")
    assert "sign (1.0, 2.0, 3.0, 91.0) is outside 'b' of 120 x 90; boxes are left, to" in lines[7]
    file.write_text("id,class\n")
    with pytest.raises(UsageError, match="no column left, top, right, bottom, kind; its first"):
        read_exemplars(file, pictures(tmp_path))
    with pytest.raises(UsageError, match="cannot read the exemplars"):
        read_exemplars(tmp_path / "none.csv", pictures(tmp_path))


def test_exemplars_go_to_the_tiles_that_hold_their_middle() -> None:
    boxes = [Exemplar("cone", (50, 10, 70, 20)), Exemplar("cone", (0, 0, 10, 10))]
    assert within(boxes, (0, 0, 64, 64)) == [Exemplar("cone", (50, 10, 64, 20)), boxes[1]]
    assert within(boxes, (48, 0, 112, 64)) == [Exemplar("cone", (2, 10, 22, 20))]
    assert within(boxes, (96, 36, 160, 100)) == []


def test_exemplars_outside_of_their_images_are_all_told(tmp_path: Path) -> None:
    manifest = pictures(tmp_path)
    check_in_frames({"a": [Exemplar("cone", (0, 0, 120, 90))]}, manifest)
    boxes = [(100, 0, 121, 90), (-1, 0, 5, 5), (0, 80, 5, 91), (200, 200, 210, 210)]
    shown = {"a": [Exemplar("cone", box) for box in boxes], "b": [Exemplar("sign", boxes[0])]}
    with pytest.raises(UsageError) as caught:
        check_in_frames(shown, manifest)
    lines = str(caught.value).splitlines()[1:]
    assert ["outside 'a' of 120 x 90" in line for line in lines] == [True] * 4 + [False]
    assert "sign (100, 0, 121, 90) is outside 'b' of 120 x 90" in lines[4]
    (tmp_path / "b.png").unlink()  # the job itself says that it cannot be read
    check_in_frames({"b": [Exemplar("sign", boxes[0])]}, manifest)
