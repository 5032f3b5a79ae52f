"""A teacher's finds in the mask store: whole, once, and after any stop."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_invoke import invoke
from fresh_process import start
from made_images import sample_of
from made_teachers import save, street, tiny_owlv2, tiny_sam3
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.masks import rle
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.load import load_masks
from workzone.data.masks.store import MaskStore
from workzone.errors import TeacherError, UsageError
from workzone.teach import job as job_module
from workzone.teach.exemplars import Exemplar
from workzone.teach.findings import Area, Findings, Instance
from workzone.teach.job import Estimate, MaskJob
from workzone.teach.prompts import ClassPrompt, Prompts
from workzone.teach.sam3 import Sam3Teacher
from workzone.teach.teacher import About, Picture
from workzone.teach.tiles import Tiling
from workzone.types import OBJECT_CLASSES

NOBODY = ClassPrompt()
CONES = Prompts(ClassPrompt(("a cone",)), *[NOBODY] * 5)


class Orange:
    """A teacher whose cones are what is orange, one in a picture."""

    takes_exemplars = True

    def __init__(self, prompts: Prompts = CONES, *, semantic: bool = False) -> None:
        self.prompts, self._semantic = prompts, semantic
        self.about = About("orange", "1", "masks", 64, 1000, {"precision": "float32"})
        self.batches: list[int] = []
        self.shown: list[int] = []

    def look(
        self, pictures: Sequence[Picture], exemplars: Sequence[Sequence[Exemplar]]
    ) -> list[Findings]:
        self.batches.append(len(pictures))
        self.shown += map(len, exemplars)
        return [self._findings(picture) for picture in pictures]

    def _findings(self, picture: Picture) -> Findings:
        area = Area.of((picture == (255, 120, 0)).all(axis=2))
        if area is None:
            return Findings((), {"cone": 0.25})
        box = tuple(map(float, area.window))
        regions = {"cone": area} if self._semantic else {}
        return Findings((Instance("cone", "a cone", 0.75, box, area),), {"cone": 0.875}, regions)


def images(folder: Path, count: int = 6, size: tuple[int, int] = (90, 120)) -> Path:
    folder.mkdir(exist_ok=True)
    samples = []
    for number in range(count):
        file = folder / f"{number:02}.png"
        Image.fromarray(street(number, *size)).save(file)
        samples.append(sample_of(file, label=1, split=("train", "val")[number % 2]))
    write_manifest(Manifest(samples, folder), folder / "manifest.parquet")
    return folder / "manifest.parquet"


def job(path: Path, teacher: Orange, tile: int = 0, **options: object) -> MaskJob:
    store = path.parent / "masks"
    return MaskJob(read_manifest(path), teacher, store, tiling=Tiling(tile), **options)


def test_what_is_found_is_kept_and_named_by_the_manifest(tmp_path: Path) -> None:
    path = images(tmp_path)
    task = job(path, Orange(semantic=True))
    done = task.run()
    assert (done.images, done.present, done.objects, done.failed) == (6, 0, {"cone": 12}, {})
    store = MaskStore(tmp_path / "masks")
    assert store.sources[done.key] == task.source
    assert task.source.prompts == {"cone": ("a cone",)}
    for sample in task.manifest():
        assert sample.masks == f"masks/#{sample.id}".replace("/#", "#")
        expected = (street(int(sample.id)) == (255, 120, 0)).all(axis=2)
        masks = load_masks(sample.masks, tmp_path, 90, 120)
        assert (masks.covered[0] == expected).all()
        assert not masks.covered[1:].any()
        assert masks.unknown[1:].all() and not masks.unknown[0].any()  # only cones were asked for
        ((_, image),) = store.image(sample.id)
        assert image.looked == {"cone": 0.875}
        instance, region = image.objects
        assert (instance.score, instance.category, instance.crowd) == (0.75, "a cone", False)
        assert instance.box == rle.bounds(instance.counts, 90, 120)
        assert (region.score, region.crowd) == (0.875, True)
        assert (rle.decode(region.counts, 90, 120) == expected).all()


def test_a_second_run_asks_for_nothing_and_other_prompts_are_another_source(
    tmp_path: Path,
) -> None:
    path = images(tmp_path)
    first = job(path, Orange()).run()
    again = Orange()
    second = job(path, again).run()
    assert (second.images, second.present, again.batches) == (0, 6, [])
    stricter = Prompts(ClassPrompt(("a cone",), threshold=0.6), *[NOBODY] * 5)
    third = job(path, Orange(stricter)).run()
    assert third.images == 6
    boxes = {"00": [Exemplar("cone", (1, 2, 30, 40))]}
    others = [
        job(path, Orange(), tile=64).source.key,
        job(path, Orange(), exemplars=boxes).source.key,
        third.key,
    ]
    assert first.key == second.key
    assert len({first.key, *others}) == 4


def test_pictures_are_looked_at_in_batches_after_the_first_image(tmp_path: Path) -> None:
    path = images(tmp_path, size=(90, 130))  # two tiles across, two down, and the frame
    teacher = Orange()
    told: list[Estimate] = []
    job(path, teacher, tile=64, batch=3).run(lambda cost: told.append(cost) is None)
    assert teacher.batches[:2] == [3, 3]  # 7 pictures of the first image alone
    assert max(teacher.batches) == 3
    assert sum(teacher.batches) == 6 * told[0].looks
    (cost,) = told
    assert (cost.images, cost.present, cost.weights) == (5, 0, 4000)
    assert cost.memory > 10_000_000
    masks = load_masks("masks#03", tmp_path, 90, 130)
    assert (masks.covered[0] == (street(3, 90, 130) == (255, 120, 0)).all(axis=2)).all()


def test_an_estimate_says_hours() -> None:
    text = str(Estimate(1200, 30, 7, 9.04, 3_360_000_000, 9_100_000_000))
    assert text == (
        "the first image took 9.0 s in 7 looks, with 3.36 GB of weights and 9.10 GB of memory at "
        "the most; 1,200 images are left (30 in the store), if alike up to 3 h 01 min"
    )


def test_it_can_stop_after_the_estimate(tmp_path: Path) -> None:
    path = images(tmp_path)
    teacher = Orange()
    done = job(path, teacher).run(lambda _: False)
    assert (done.images, teacher.batches) == (1, [1])
    assert MaskStore(tmp_path / "masks").ids() == ["00"]


def test_images_that_cannot_be_read_are_told_and_tried_again(tmp_path: Path) -> None:
    path = images(tmp_path)
    kept = (tmp_path / "00.png").read_bytes()
    (tmp_path / "00.png").unlink()
    (tmp_path / "03.png").write_bytes(b"no image")
    task = job(path, Orange())
    done = task.run()
    assert done.images == 4
    assert set(done.failed) == {"00", "03"}
    assert "no such file" in done.failed["00"]
    assert [s.id for s in task.manifest() if s.masks is None] == ["00", "03"]
    (tmp_path / "00.png").write_bytes(kept)
    again = job(path, Orange()).run()
    assert (again.images, again.present) == (1, 4)


@pytest.mark.parametrize("name", ["a#b", "a.png", "road%20work", "c.json"])
def test_an_image_of_any_id_is_found_again(tmp_path: Path, name: str) -> None:
    path = images(tmp_path, 1)
    manifest = read_manifest(path)
    write_manifest(manifest.with_samples([replace(manifest.samples[0], id=name)]), path)
    task = job(path, Orange())
    task.run()
    result = task.manifest()
    assert load_masks(str(result.samples[0].masks), tmp_path, 90, 120).covered[0].any()
    write_manifest(result, path)
    assert job(path, Orange()).run().present == 1  # the same image, by its reference


def test_what_others_say_goes_into_the_store(tmp_path: Path) -> None:
    path = images(tmp_path, 3)
    covered = np.zeros((6, 90, 120), np.bool_)
    covered[2, 10:20, 30:50] = True  # a sign
    write_bit_image(covered, tmp_path / "bits.png")
    plain = read_manifest(path)
    known = replace(plain.samples[1], masks="bits.png")
    write_manifest(plain.with_samples([plain.samples[0], known, plain.samples[2]]), path)
    task = job(path, Orange())
    task.run()
    result = task.manifest()
    assert [sample.masks for sample in result] == [f"masks#{number:02}" for number in range(3)]
    masks = load_masks("masks#01", tmp_path, 90, 120)
    assert (masks.covered[2] == covered[2]).all()
    assert not masks.covered[0].any()  # the bit image looked for cones too, and is believed
    write_manifest(result, path)
    assert job(path, Orange()).run().present == 3


def test_exemplars_reach_the_frame_and_the_tiles_that_hold_them(tmp_path: Path) -> None:
    path = images(tmp_path, 2, size=(90, 130))
    boxes = {"01": [Exemplar("cone", (1.0, 2.0, 30.0, 40.0))]}
    teacher = Orange()
    job(path, teacher, tile=64, exemplars=boxes).run()
    looks = len(Tiling(64).windows(130, 90))
    assert teacher.shown[:looks] == [0] * looks
    assert teacher.shown[looks : looks + 2] == [1, 1]
    assert (
        sum(teacher.shown)
        == 2
        + sum(  # whole frame, and tiles with the box's middle
            left <= 15.5 < right and top <= 21 < bottom
            for left, top, right, bottom in Tiling(64).windows(130, 90)[2:]
        )
    )
    outside = {"01": [Exemplar("cone", (1.0, 2.0, 300.0, 40.0))]}
    unasked = Orange()
    with pytest.raises(UsageError, match="is outside '01' of 130 x 90"):
        job(path, unasked, exemplars=outside).run()
    assert unasked.batches == []
    blind = Orange()
    blind.takes_exemplars = False
    with pytest.raises(UsageError, match="orange takes no exemplars"):
        job(path, blind, exemplars=boxes)


def test_what_was_found_before_a_failure_is_kept(tmp_path: Path) -> None:
    path = images(tmp_path)
    teacher = Orange()
    real = teacher.look

    def failing(pictures: Sequence[Picture], shown: Sequence[Sequence[Exemplar]]) -> list[Findings]:
        if len(teacher.batches) == 2:
            raise TeacherError("no finite numbers")
        return real(pictures, shown)

    teacher.look = failing
    with pytest.raises(TeacherError, match=r"no finite numbers \(images '03', '04'\)"):
        job(path, teacher, batch=2).run()
    assert MaskStore(tmp_path / "masks").ids() == ["00", "01", "02"]


PROMPTS = "\n".join(
    f"{name}: {{phrases: [{name[:9]}], threshold: 0.2, mask_threshold: 0.5}}"
    for name in OBJECT_CLASSES
)


def slow_job(options: list[str]) -> None:
    """The command, in a process that is to be killed."""
    real = Sam3Teacher.look

    def slow(self: Sam3Teacher, *arguments: object) -> list[Findings]:
        time.sleep(0.1)  # so that there is a middle to be killed in
        return real(self, *arguments)

    job_module.FLUSH_SECONDS = 0.0
    Sam3Teacher.look = slow
    invoke(*options)


def test_a_killed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    """Tiles and exemplars, killed by SIGKILL in the middle, then left to finish: the same."""
    path = images(tmp_path / "images", 6, size=(90, 130))
    weights = save(tiny_sam3(), tmp_path / "sam3")
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    (tmp_path / "boxes.csv").write_text(
        "id,class,left,top,right,bottom,kind\n03,cone,30,20,60,70,positive\n"
        "03,cone,90,5,110,15,negative\n05,worker,10,10,40,40,positive\n"
    )
    options = [
        *("masks", path, "-o", tmp_path / "masked.parquet", "--weights", weights, "--tile", 64),
        *("--prompts", tmp_path / "prompts.yaml", "--exemplars", tmp_path / "boxes.csv"),
        *("--semantic", "--batch", 1),  # what is looked at together rounds otherwise
    ]
    whole = invoke(*options, "--store", tmp_path / "whole", "--json")
    told = json.loads(whole.stdout)
    assert told["images"] == 6 and sum(told["objects"].values()) > 50
    assert f"in {len(Tiling(64).windows(130, 90))} looks, with" in whole.stderr

    options += ["--store", tmp_path / "killed", "--json"]
    process = start(slow_job, [str(option) for option in options])
    deadline = time.monotonic() + 900
    parts = tmp_path / "killed"
    while time.monotonic() < deadline and process.is_alive():
        if len(list(parts.glob("*/part-*.parquet"))) >= 2:
            break
        time.sleep(0.005)
    process.kill()
    process.join()
    held = MaskStore(parts).ids()
    assert 0 < len(held) < 6
    rest = json.loads(invoke(*options).stdout)
    assert rest["present"] == len(held)
    assert rest["images"] == 6 - len(held)
    assert rest["source"] == told["source"]
    stores = [MaskStore(tmp_path / name) for name in ("whole", "killed")]
    unbroken, resumed = (list(store.images(told["source"])) for store in stores)
    assert [one.id for one in resumed] == [one.id for one in unbroken] and len(unbroken) == 6
    for one, other in zip(resumed, unbroken, strict=True):  # a process of its own rounds otherwise
        assert one.looked == pytest.approx(other.looked, abs=1e-3)
        assert len(one.objects) == pytest.approx(len(other.objects), rel=0.2)
    assert len(list(parts.glob("*/part-*.parquet"))) == 1  # those of each image were joined
    masked = read_manifest(tmp_path / "masked.parquet")
    assert [sample.masks for sample in masked] == [f"killed#{sample.id}" for sample in masked]


def test_images_become_masks_a_model_and_overlays(tmp_path: Path) -> None:
    """The whole way, with weights that know nothing: from images, their tiles and exemplars to
    the store, training of the preset `masks`, outlines."""
    path = images(tmp_path / "images", 8, size=(90, 130))
    samples = read_manifest(path)
    labelled = [replace(sample, label=n // 2 % 2) for n, sample in enumerate(samples)]
    write_manifest(samples.with_samples(labelled), path)
    weights = save(tiny_sam3(), tmp_path / "sam3")
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    (tmp_path / "boxes.csv").write_text(
        "id,class,left,top,right,bottom,kind\n03,cone,30,20,60,70,positive\n"
    )
    masked = tmp_path / "masked.parquet"
    invoke(
        *("masks", path, "-o", masked, "--weights", weights, "--tile", 64),
        *("--prompts", tmp_path / "prompts.yaml", "--exemplars", tmp_path / "boxes.csv"),
    )
    (source,) = MaskStore(tmp_path / "masked.masks").sources.values()
    assert source.settings["tile"] == 64 and source.settings["exemplars"]
    layout = tmp_path / "layout.yaml"
    layout.write_text("{size: 128, shorter: 96, tiles: 0, squares: []}\n")
    invoke(
        *("train", masked, "-o", tmp_path / "model", "--preset", "masks", "--json"),
        *("--layout", layout, "detector.masks.hidden=8", "epochs=1"),
    )
    invoke(
        *("predict", tmp_path / "images", "--model", tmp_path / "model"),
        *("--explain", tmp_path / "overlays", "--masks", tmp_path / "outlines"),
    )
    assert len(list((tmp_path / "overlays").iterdir())) == 8
    assert len(list((tmp_path / "outlines").glob("*.jpg"))) == 8
    rows = (tmp_path / "outlines" / "objects.jsonl").read_text().splitlines()
    assert {json.loads(row)["id"] for row in rows} == {f"{number:02}.png" for number in range(8)}


def test_owlv2_fills_the_store_with_boxes(tmp_path: Path) -> None:
    path = images(tmp_path / "images", 3)
    weights = save(tiny_owlv2(), tmp_path / "owlv2")
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    done = invoke(
        *("masks", path, "-o", tmp_path / "boxed.parquet", "--teacher", "owlv2"),
        *("--weights", weights, "--prompts", tmp_path / "prompts.yaml", "--json"),
    )
    told = json.loads(done.stdout)
    assert told["images"] == 3
    store = MaskStore(tmp_path / "boxed.masks")
    assert store.sources[told["source"]].settings["gives"] == "boxes"
    objects = [item for _, image in store.image("01") for item in image.objects]
    assert objects
    for item in objects:
        left, top, right, bottom = rle.bounds(item.counts, 90, 120)
        assert rle.area(item.counts) == (right - left) * (bottom - top)  # a filled box


def test_wrong_calls_name_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images(tmp_path, 1)
    output = tmp_path / "masked.parquet"

    def told(*options: object, expect: int) -> str:
        done = invoke("masks", path, "-o", output, *options, expect=expect)
        return " ".join(done.stderr.split())

    assert "is what is read from" in " ".join(
        invoke("masks", path, "-o", path, expect=2).stderr.split()
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    text = told("--weights", empty, expect=1)
    assert "no weights of sam3" in text and "https://huggingface.co/facebook/sam3" in text
    (empty / "config.json").write_text('{"model_type": "sam3"}')
    assert "no *.safetensors in" in told("--weights", empty, expect=1)
    weights = save(tiny_owlv2(), tmp_path / "owlv2")
    assert "gives boxes, no semantic masks" in told(
        *("--teacher", "owlv2", "--weights", weights, "--semantic"), expect=2
    )
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("id,class,left,top,right,bottom,kind\n00,cone,1,2,30,40,positive\n")
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    assert "owlv2 takes no exemplars" in told(
        *("--teacher", "owlv2", "--weights", weights, "--exemplars", boxes),
        *("--prompts", tmp_path / "prompts.yaml"),
        expect=2,
    )
    assert "at most 16 tokens" in told("--teacher", "owlv2", "--weights", weights, expect=2)


def test_gated_weights_are_told_how_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def gated(*_: object, **__: object) -> str:
        error = GatedRepoError.__new__(GatedRepoError)
        Exception.__init__(error, "403")
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    done = invoke("masks", images(tmp_path, 1), "-o", tmp_path / "masked.parquet", expect=1)
    text = " ".join(done.stderr.split())
    assert "accept the licence at https://huggingface.co/facebook/sam3" in text
    assert "'hf auth login'" in text
    assert "--weights FOLDER" in text
