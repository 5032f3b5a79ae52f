"""From annotations to a manifest's masks, and back again, the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data.masks.made_masks import area, build, coco, cone, outline, pictures
from workzone.data.manifest import read_manifest
from workzone.data.masks import rle
from workzone.data.masks.adding import add_masks, store_beside
from workzone.data.masks.exporting import export_bits, export_coco
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.formats.coco_writer import write_coco
from workzone.data.masks.formats.detect import read_annotations
from workzone.data.masks.load import load_masks
from workzone.data.masks.matching import SampleNames
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.references import read_said, store_reference, with_path
from workzone.data.masks.store import MaskStore, write_masks
from workzone.errors import ManifestError, UsageError
from workzone.types import OBJECT_CLASSES, ImageRef, Sample


def add(manifest, annotations, folder, **more):
    return add_masks(manifest, annotations, folder, name="c", **more)


def test_annotations_become_masks_of_their_samples(tmp_path):
    manifest = pictures(tmp_path, "a", "b")
    given = coco(tmp_path, outline(4, 3, 8, 9), {"category_id": 2, "bbox": [10, 1, 3, 3]})
    added = add(manifest, given, tmp_path / "m.masks")
    first, second = added.manifest
    assert (first.masks, second.masks) == ("m.masks#a", None)
    assert (added.images, dict(added.objects)) == (1, {"cone": 2})
    assert "left out are the categories car" in added.warnings[-1]
    masks = load_masks(first.masks, tmp_path, 12, 20)
    np.testing.assert_array_equal(masks.covered[0], area(3, 9, 4, 8))
    np.testing.assert_array_equal(masks.unknown[0], area(1, 4, 10, 13))
    assert masks.unknown[1:].all()
    ((source, said),) = read_said(first.masks, tmp_path)
    assert (source.knowledge, source.teacher) == ("polygon", "c")
    assert [item.category for item in said.objects] == ["Cone", "drum"]


def test_categories_are_mapped(tmp_path):
    manifest = pictures(tmp_path, "a")
    given = coco(tmp_path, outline(4, 3, 8, 9), {"category_id": 3, **outline(1, 1, 3, 3)})
    added = add(manifest, given, tmp_path / "s", mapping={"CAR": "vehicle", "drum": ""})
    assert dict(added.objects) == {"cone": 1, "vehicle": 1}
    ((_, said),) = read_said("s#a", tmp_path)
    assert set(said.looked) == {"cone", "vehicle"}
    with pytest.raises(UsageError) as caught:
        add(manifest, given, tmp_path / "s", mapping={"car": "vehicles", "cra": "cone"})
    assert "class 'vehicles' is unknown; did you mean 'vehicle'" in str(caught.value)
    assert "the annotations have no category 'cra'; did you mean 'car'" in str(caught.value)
    with pytest.raises(UsageError, match=r"none of the categories \(Cone, car, drum\) is known"):
        add(manifest, given, tmp_path / "s", mapping={"Cone": "", "drum": "", "car": ""})


def test_masks_are_replaced_under_the_same_name_and_kept_beside_others(tmp_path):
    manifest = pictures(tmp_path, "a")
    folder = tmp_path / "m.masks"
    manifest = add(manifest, coco(tmp_path, outline(1, 1, 3, 3)), folder).manifest
    manifest = add(manifest, coco(tmp_path, outline(4, 3, 8, 9)), folder).manifest
    np.testing.assert_array_equal(
        load_masks("m.masks#a", tmp_path, 12, 20).covered[0], area(3, 9, 4, 8)
    )
    other = coco(tmp_path, outline(1, 1, 3, 3), name="other.json")
    add_masks(manifest, other, folder, name="other", knowledge="pseudo")
    assert len(read_said("m.masks#a", tmp_path)) == 2
    moved = add(manifest, other, tmp_path / "second").manifest  # what was said before comes too
    assert moved.samples[0].masks == "second#a"
    assert {source.teacher for source, _ in read_said("second#a", tmp_path)} == {"c", "other"}


def test_a_second_person_is_passed_over_and_told(tmp_path):
    manifest = pictures(tmp_path, "a", "b")
    folder = tmp_path / "m.masks"
    first = add(manifest, coco(tmp_path, outline(1, 1, 3, 3)), folder).manifest
    images = [("a.jpg", 20, 12), ("b.jpg", 20, 12)]
    second = coco(tmp_path, outline(4, 3, 8, 9), images=images, name="second.json")
    for known in (first, manifest):  # by its reference, and by the store alone
        added = add_masks(known, second, folder, name="second")
        assert added.images == 1
        (why,) = added.passed_over.values()
        assert "masks of 'a': cone: by 'c' and by 'second', both people's outlines" in why
    replaced = add(first, second, folder)  # under the name of the first
    assert replaced.images == 2  # of b both say the same
    np.testing.assert_array_equal(
        load_masks("m.masks#a", tmp_path, 12, 20).covered[0], area(3, 9, 4, 8)
    )


def test_copies_in_the_store_are_those_of_the_last_run(tmp_path):
    manifest = pictures(tmp_path, "a")
    coco(tmp_path, outline(1, 1, 3, 3), name="people.json")
    manifest = manifest.with_samples(
        [dataclasses.replace(manifest.samples[0], masks="people.json#0")]
    )
    guesses = coco(tmp_path, outline(0, 0, 9, 9), name="model.json")

    def covered():
        add_masks(manifest, guesses, tmp_path / "s", name="model", knowledge="pseudo")
        return load_masks("s#a", tmp_path, 12, 20).covered[0]

    np.testing.assert_array_equal(covered(), area(1, 3, 1, 3))
    coco(tmp_path, outline(4, 3, 8, 9), name="people.json")  # mended
    np.testing.assert_array_equal(covered(), area(3, 9, 4, 8))


def test_references_that_contradict_the_store_are_refused(tmp_path):
    manifest = pictures(tmp_path, "a")
    guesses = coco(tmp_path, outline(0, 0, 9, 9), name="model.json")
    for name, left in (("ann.json", 1), ("bob.json", 2)):
        coco(tmp_path, outline(left, 1, 5, 3), name=name)
        referring = [dataclasses.replace(manifest.samples[0], masks=f"{name}#0")]
        job = (manifest.with_samples(referring), guesses, tmp_path / "s")
        if name == "ann.json":
            add_masks(*job, name="model", knowledge="pseudo")
        else:
            with pytest.raises(ManifestError, match=r"by 'ann\.json' and by 'bob\.json', both peo"):
                add_masks(*job, name="model", knowledge="pseudo")


def test_what_does_not_fit_is_told_and_the_rest_is_used(tmp_path):
    manifest = pictures(tmp_path, "a", "b")
    images = [("a.jpg", 20, 12), ("b.jpg", 12, 20), ("gone.jpg", 20, 12), ("a.jpg", 20, 12)]
    given = coco(tmp_path, outline(4, 3, 8, 9), images=images)
    added = add(manifest, given, tmp_path / "s")
    reasons = " | ".join(added.passed_over.values())
    assert added.images == 1 and len(added.passed_over) == 3
    assert "the masks are of a picture of 12 x 20 pixels, this one has 20 x 12" in reasons
    assert "no image of the manifest is named 'gone.jpg'" in reasons
    assert "the sample 'a' is annotated before, in" in reasons
    bad = coco(tmp_path, outline(4, 3, 8, 9), {"segmentation": [[1, 2, 3]]})
    with pytest.raises(ManifestError, match=r"none of its 1 images gives masks .*Cone has no out"):
        add(manifest, bad, tmp_path / "s")


def test_pictures_of_one_name_in_several_folders_are_not_mixed_up(tmp_path):
    manifest = pictures(tmp_path, "a")
    for names, used, why in (
        (("train/a.jpg", "images/a.jpg"), 1, "is rather 'images/a.jpg', whose folders fit better"),
        (("images/a.jpg", "train/a.jpg"), 1, "is rather 'images/a.jpg', whose folders fit better"),
        (("train/a.jpg", "a.jpg"), 1, "is rather 'a.jpg', whose folders fit better"),
        (("train/a.jpg",), 1, None),  # a folder that was renamed
    ):
        images = [(name, 20, 12) for name in names]
        added = add(manifest, coco(tmp_path, outline(1, 1, 3, 3), images=images), tmp_path / "s")
        assert added.images == used
        assert [reason for reason in added.passed_over.values() if why not in reason] == []
        ((_, said),) = read_said("s#a", tmp_path)  # the outline is of the first image
        assert len(said.objects) == (names[0] in ("images/a.jpg", "a.jpg") or len(names) == 1)
    both = [("train/a.jpg", 20, 12), ("val/a.jpg", 20, 12)]
    with pytest.raises(
        ManifestError, match=r"may be any of 2 annotated images: 'train/a\.jpg', 'v"
    ):
        add(manifest, coco(tmp_path, outline(1, 1, 3, 3), images=both), tmp_path / "s")


def test_larger_and_smaller_annotations_are_scaled(tmp_path):
    manifest = pictures(tmp_path, "a")
    runs = rle.encode(area(6, 18, 8, 16, width=40, height=24)).decode()
    large = [("a.jpg", 40, 24)]
    for shape in (outline(8, 6, 16, 18), {"segmentation": {"size": [24, 40], "counts": runs}}):
        add(manifest, coco(tmp_path, shape, images=large), tmp_path / "s")
        covered = load_masks("s#a", tmp_path, 12, 20).covered[0]
        np.testing.assert_array_equal(covered, area(3, 9, 4, 8))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_of_stored_pixels_are_turned_upright(tmp_path, orientation):
    manifest = pictures(tmp_path, "a", orientation=orientation)
    given = coco(tmp_path, outline(1, 2, 8, 5), {"bbox": [12, 1, 6, 4]})
    add(manifest, given, tmp_path / "s")
    ((_, said),) = read_said("s#a", tmp_path)
    assert (said.height, said.width) == (20, 12)
    for item in said.objects:  # boxes turn as masks do
        assert rle.bounds(item.counts, 20, 12) == item.box
    assert rle.area(said.objects[0].counts) == 21
    assert rle.area(said.objects[1].counts) == 24


def test_an_orientation_that_sizes_do_not_tell_is_asked_for(tmp_path):
    manifest = pictures(tmp_path, "a", orientation=3)
    given = coco(tmp_path, outline(0, 0, 4, 3))
    with pytest.raises(ManifestError, match="nothing tells whether its masks are of the turned"):
        add(manifest, given, tmp_path / "s")
    for stated, expected in ((1, area(0, 3, 0, 4)), (3, area(9, 12, 16, 20))):
        add(manifest, given, tmp_path / "s", orientation=stated)
        covered = load_masks("s#a", tmp_path, 12, 20).covered[0]
        np.testing.assert_array_equal(covered, expected)


def test_names_are_matched_from_the_end():
    samples = [
        Sample("a", ImageRef("images/north/7.jpg")),
        Sample("b", ImageRef("images/south/7.jpg")),
        Sample("c", ImageRef("set.zip", "deep/8.png")),
        Sample("d", ImageRef("images/x_leftImg8bit.png")),
        Sample("e", ImageRef("set.parquet", "image", 3)),
        Sample("2024.05.01", ImageRef("images/2024.05.01.jpg")),
    ]
    names = SampleNames(samples)

    def found(name):
        return [sample.id for sample in names.find(name)]

    assert found("south/7.png") == ["b"] and found("C:\\data\\north\\7") == ["a"]
    assert found("7.jpg") == ["a", "b"] and found("8.jpg") == ["c"]
    assert found("x") == ["d"] and found("e") == ["e"] and found("2024.05.01.jpg") == ["2024.05.01"]
    assert found("9.jpg") == [] and found("") == []


@pytest.fixture
def masked(tmp_path):
    """Two samples with masks of two sources, of every kind of knowledge."""
    manifest = pictures(tmp_path, "a", "b", labels=[1, 0])
    human = MaskSource("polygon", "people")
    model = MaskSource("pseudo", "model", "2", {"cone": ("a cone",)}, {"threshold": 0.25})

    def make(kind, mask, **more):
        return MaskObject.from_mask("cone", kind, mask, **more)

    objects = (
        make("polygon", area(3, 9, 4, 8), category="Drum"),
        MaskObject("sign", "box", rle.from_box((0.1, 0.3, 5.7, 2.9), 12, 20), (0.1, 0.3, 5.7, 2.9)),
        make("polygon", area(0, 12, 10, 20), crowd=True),
    )
    every = dict.fromkeys(OBJECT_CLASSES)
    folder = tmp_path / "s"
    write_masks(folder, human, [ImageMasks("a", 12, 20, every, objects)])
    write_masks(
        folder,
        model,
        [
            ImageMasks("a", 12, 20, {"cone": 0.7}, (make("pseudo", area(0, 2, 0, 2), score=0.3),)),
            ImageMasks("b", 12, 20, {"cone": 0.1, "sign": None}),
        ],
    )
    samples = [dataclasses.replace(s, masks=f"s#{s.id}") for s in manifest]
    return manifest.with_samples(samples)


def test_coco_written_and_read_again_is_the_same(masked, tmp_path):
    for key, source in MaskStore(tmp_path / "s").sources.items():
        count = export_coco(masked, tmp_path / "out.json", source=source.teacher)
        bare = masked.with_samples([dataclasses.replace(s, masks=None) for s in masked])
        again = tmp_path / f"again-{key}"
        add(bare, read_annotations(tmp_path / "out.json"), again)
        assert list(MaskStore(again).images(key)) == list(MaskStore(tmp_path / "s").images(key))
        assert MaskStore(again).sources == {key: source}
        assert count == sum(len(m.objects) for m in MaskStore(again).images(key))


def test_merged_coco_is_what_pycocotools_reads(masked, tmp_path):
    from pycocotools.coco import COCO

    export_coco(masked, tmp_path / "out.json", None)
    api = COCO(str(tmp_path / "out.json"))
    assert [image["file_name"] for image in api.loadImgs(api.getImgIds())] == [
        *("images/a.jpg", "images/b.jpg")
    ]
    cones = api.loadAnns(api.getAnnIds(catIds=api.getCatIds(["cone"])))
    assert [one["iscrowd"] for one in cones] == [0, 1]  # the model's is outdone
    np.testing.assert_array_equal(api.annToMask(cones[0]), area(3, 9, 4, 8))
    assert cones[0]["area"] == 24 and cones[0]["bbox"] == [4, 3, 4, 6]


def test_bit_images_written_and_read_again_are_the_same(masked, tmp_path):
    assert export_bits(masked, tmp_path / "bits") == 2
    added = add_masks(
        masked.with_samples([dataclasses.replace(s, masks=None) for s in masked]),
        read_annotations(tmp_path / "bits"),
        tmp_path / "again",
        name="bits",
    )
    for before, after in zip(masked, added.manifest, strict=True):
        first, second = (load_masks(s.masks, tmp_path, 12, 20) for s in (before, after))
        np.testing.assert_array_equal(first.covered, second.covered)


@pytest.mark.parametrize(
    ("of_bits", "believed"),
    [
        (("drawn", "drawn"), "drawn"),
        (("drawn", "polygon"), "polygon"),
        (("drawn", None), "polygon"),
        (("polygon", "pseudo"), "pseudo"),
        ((None, None), "box"),  # as told
    ],
)
def test_bit_images_tell_what_they_rest_on(tmp_path, of_bits, believed):
    manifest = pictures(tmp_path, "a", "b")
    for name, knowledge in zip("ab", of_bits, strict=True):
        path = tmp_path / "bits" / f"{name}.png"
        write_bit_image(np.ones((6, 12, 20), bool), path, knowledge=knowledge)
        ((source, said),) = read_said(f"bits/{name}.png", tmp_path)  # in place, each by itself
        assert source.knowledge == (knowledge or "polygon")
        assert {item.knowledge for item in said.objects} == {source.knowledge}
    given = read_annotations(tmp_path / "bits")
    added = add_masks(manifest, given, tmp_path / "s", name="bits", knowledge="box")
    assert added.images == 2
    assert {one.knowledge for one in MaskStore(tmp_path / "s").sources.values()} == {believed}


@pytest.mark.parametrize("least", ["drawn", "polygon", "box", "pseudo"])
def test_exported_bits_are_believed_no_more_than_before(tmp_path, least):
    manifest = build(tmp_path, {"a": [cone(area(3, 9, 4, 8))]}, knowledge=least)
    export_bits(manifest, tmp_path / "bits")
    ((source, _),) = read_said("bits/a.png", tmp_path)
    assert source.knowledge == ("polygon" if least == "box" else least)


def test_exports_that_cannot_be(masked, tmp_path):
    with pytest.raises(UsageError, match=r"a COCO file is a \.json file, got '.*out\.txt'"):
        export_coco(masked, tmp_path / "out.txt")
    with pytest.raises(UsageError, match="source 'modell' is unknown; "):
        export_coco(masked, tmp_path / "out.json", source="modell")
    bare = pictures(tmp_path / "bare", "a")
    for write in (export_coco, export_bits):
        with pytest.raises(UsageError, match="no sample of the manifest has masks"):
            write(bare, tmp_path / "out.json")
    bad = dataclasses.replace(masked.samples[0], id="../x")
    with pytest.raises(UsageError, match=r"the id '\.\./x' leads out of"):
        export_bits(masked.with_samples([bad]), tmp_path / "bits")


@pytest.mark.parametrize("name", ["a#b", "x/a.png", "100%", "a%2Eb", "a.PNG", "c.json"])
def test_any_id_can_be_referred_to(tmp_path, name):
    masks = ImageMasks(name, 12, 20, {"cone": None})
    write_masks(tmp_path / "s.png", MaskSource("polygon", "people"), [masks])
    reference = store_reference("s.png", name)
    ((_, said),) = read_said(reference, tmp_path)
    assert said == masks
    assert with_path(reference, lambda path: f"x/{path}") == f"x/{reference}"


def test_what_a_model_guessed_is_no_outline_by_people_after_an_export(tmp_path):
    manifest = build(tmp_path, {"a": [cone(area(3, 9, 4, 8))]})
    export_coco(manifest, tmp_path / "out.json")
    given = read_annotations(tmp_path / "out.json")
    add(pictures(tmp_path, "a"), given, tmp_path / "t")
    for reference in ("t#a", "out.json#1"):  # imported, and read in place
        ((source, said),) = read_said(reference, tmp_path)
        assert source.knowledge == "pseudo"
        assert said.objects == manifest_objects(manifest)


def manifest_objects(manifest):
    ((_, said),) = read_said(manifest.samples[0].masks, manifest.root)
    return said.objects


def test_an_image_in_which_nothing_was_looked_for_stays_one(tmp_path):
    manifest = pictures(tmp_path, "a")
    write_coco(tmp_path / "o.json", [ImageMasks("a", 12, 20, {})], MaskSource("polygon", "p"))
    add(manifest, read_annotations(tmp_path / "o.json"), tmp_path / "s")
    assert load_masks("s#a", tmp_path, 12, 20).unknown.all()


def test_annotations_that_rows_refer_to_are_not_there_twice_once_imported(tmp_path):
    manifest = pictures(tmp_path, "a")
    given = coco(tmp_path, outline(1, 1, 3, 3))
    manifest = manifest.with_samples([dataclasses.replace(manifest.samples[0], masks="c.json#0")])
    added = add(manifest, given, tmp_path / "s")
    assert len(read_said(added.manifest.samples[0].masks, tmp_path)) == 1


def test_bit_images_of_a_folder_are_one_source(tmp_path):
    manifest = pictures(tmp_path, "a", "b")
    for name in "ab":
        write_bit_image(np.zeros((6, 12, 20), bool), tmp_path / "bits" / f"{name}.png")
    manifest = manifest.with_samples(
        [dataclasses.replace(s, masks=f"bits/{s.id}.png") for s in manifest]
    )
    images = [("a.jpg", 20, 12), ("b.jpg", 20, 12)]
    guesses = coco(tmp_path, outline(1, 1, 3, 3), images=images)
    add(manifest, guesses, tmp_path / "s", knowledge="pseudo")
    assert {one.teacher for one in MaskStore(tmp_path / "s").sources.values()} == {"c", "bits"}


def test_the_store_stands_beside_its_manifest(tmp_path):
    assert store_beside(tmp_path / "m.parquet") == tmp_path / "m.masks"
    with pytest.raises(UsageError, match=r"a manifest is a \.parquet file"):
        store_beside(tmp_path / "m.csv")
    assert len(read_manifest(pictures(tmp_path, "a").root / "m.parquet")) == 1
