from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bad_images import make_bad_images
from made_images import blob_image
from predictors import backbone_of, bundle_of, bundle_predictor
from told import told_bundle
from trained import Tiny
from workzone import progress
from workzone.cli import app
from workzone.cli.predict import TABLE_ROWS
from workzone.data.manifest import Manifest, write_manifest
from workzone.decide.bundle import write_bundle
from workzone.engine.program import Array, Arrays, GraphName
from workzone.engine.torch_engine import TorchEngine
from workzone.report.answer import shown_probability, where
from workzone.run.predictor import Predictor, load
from workzone.types import ImageRef, Prediction, Sample

runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"})


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "street.png"
    path.parent.mkdir()
    blob_image(901, 1).save(path)
    return path


@pytest.fixture
def roadwork(predictor: Predictor, street: Path) -> Prediction:
    """What the model says of `street`, which is made one with road work."""
    for number in range(901, 950):
        blob_image(number, 1).save(street)
        (prediction,) = predictor.predict(street)
        if prediction.decision == "roadwork":
            return prediction
    raise AssertionError("the model finds road work in none")


def predict(*arguments: object, expect: int = 0) -> Result:
    result = runner.invoke(app, ["predict", *map(str, arguments)])
    assert result.exit_code == expect, f"{arguments}\n{result.output}"
    assert "Traceback" not in result.output
    return result


def test_one_image_is_answered_in_a_sentence(
    tiny: Tiny, predictor: Predictor, street: Path, roadwork: Prediction
) -> None:
    line = predict(street, "--model", tiny.bundle).stdout
    probability, place = shown_probability(roadwork.probability), where(roadwork.box)
    assert line == f"{street}: road work, {probability}, strongest {place}\n"
    blob_image(902, 0).save(street)
    (prediction,) = predictor.predict(street)
    line = predict(street.parent, "--model", tiny.bundle).stdout
    assert line == f"street.png: no road work, {shown_probability(prediction.probability)}\n"


def test_several_images_are_rows_of_a_table(
    tiny: Tiny, predictor: Predictor, street: Path, roadwork: Prediction
) -> None:
    other = street.with_name("other.png")
    blob_image(902, 0).save(other)
    text = " ".join(predict(street, other, "--model", tiny.bundle).stdout.split())
    for path, word in ((street, "yes"), (other, "no")):
        (prediction,) = predictor.predict(path)
        probability = shown_probability(prediction.probability, digits=3)
        row = f"{word} │ {probability} │ {where(prediction.box)} │ {path} │"
        assert row in text


def test_the_answer_stays_on_one_line_in_a_narrow_pipe(tiny: Tiny, street: Path) -> None:
    narrow = CliRunner(env={"COLUMNS": "40", "NO_COLOR": "1"})
    long = street.with_name("a-name-that-is-longer-than-forty-columns-of-a-terminal.png")
    street.rename(long)
    for arguments in ([long], [long, tiny.root / "00.png"]):
        result = narrow.invoke(app, ["predict", *map(str, arguments), "-m", str(tiny.bundle)])
        assert str(long) in result.stdout


def test_without_a_model_the_one_in_the_package_is_taken(
    tiny: Tiny, predictor: Predictor, street: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    result = predict(street, expect=1)
    assert "no model lite-onnx comes with this copy of workzone" in result.stderr
    shutil.copytree(tiny.bundle, tmp_path / "weights" / "lite")
    shutil.copytree(tiny.bundle, tmp_path / "weights" / "lite-onnx")  # whichever is asked for
    expected = predictor.predict(street)[0].probability
    for options in ([], ["--engine", "torch"], ["--model", "lite"]):
        result = predict(street, "--json", *options)
        assert "model: lite, which comes with workzone (--model names another)" in result.stderr
        assert json.loads(result.stdout)["probability"] == expected
    assert Predictor().predict(street)[0].probability == expected
    assert load().predict(street)[0].probability == expected
    arguments = ["evaluate", tiny.manifest_path, "-o", tmp_path / "report"]
    judged = runner.invoke(app, [str(argument) for argument in arguments])
    assert judged.exit_code == 0, judged.output
    assert "model: lite, which comes with workzone" in judged.stderr


def test_json_is_one_object_per_line(tiny: Tiny, predictor: Predictor, tmp_path: Path) -> None:
    for number in range(3):
        blob_image(910 + number, number % 2).save(tmp_path / f"{number}.png")
    lines = predict(tmp_path, "-m", tiny.bundle, "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == ["0.png", "1.png", "2.png"]
    expected = predictor.predict([tmp_path / row["id"] for row in rows])
    assert [row["probability"] for row in rows] == [p.probability for p in expected]


def test_json_stays_json_beside_overlays_and_bad_images(
    tiny: Tiny, street: Path, tmp_path: Path
) -> None:
    (street.parent / "bad.jpg").write_bytes(b"no image")
    result = predict(
        *(street.parent, "-m", tiny.bundle, "--json", "--explain", tmp_path / "overlays")
    )
    bad, good = (json.loads(line) for line in result.stdout.splitlines())
    assert good["id"] == "street.png"
    assert bad.keys() == {"id", "error", "code"}
    assert (bad["id"], bad["code"]) == ("bad.jpg", "unreadable")
    assert "bad.jpg: not an image but text: 'no image'" in bad["error"]
    assert "not scored: bad.jpg: not an image but text: 'no image'" in result.stderr
    assert f"1 overlay in {tmp_path}/overlays" in result.stderr


def test_overlays_keep_the_folders(tiny: Tiny, street: Path, tmp_path: Path) -> None:
    nested = street.parent / "deep" / "er" / "one.png"
    nested.parent.mkdir(parents=True)
    blob_image(5, 0).save(nested)
    predict(street.parent, "-m", tiny.bundle, "--explain", tmp_path / "overlays")
    found = {str(p.relative_to(tmp_path / "overlays")) for p in tmp_path.rglob("*.overlay.jpg")}
    assert found == {"street.png.overlay.jpg", "deep/er/one.png.overlay.jpg"}
    with Image.open(tmp_path / "overlays" / "street.png.overlay.jpg") as overlay:
        assert overlay.format == "JPEG"
        assert overlay.width == 360


def test_overlays_are_never_written_outside_their_folder(
    tiny: Tiny, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "work" / "here"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    predict("../../in/street.png", "-m", tiny.bundle, "--explain", "overlays")
    samples = [Sample("../../../evil", ImageRef(str(street)))]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    predict(tmp_path / "manifest.parquet", "-m", tiny.bundle, "--explain", "overlays")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.overlay.jpg")}
    assert found == {
        "work/here/overlays/street.png.overlay.jpg",
        "work/here/overlays/evil.overlay.jpg",
    }


def test_images_of_one_name_have_an_overlay_each(tiny: Tiny, street: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "street.png"
    other.parent.mkdir()
    blob_image(3, 0).save(other)
    samples = [Sample(str(path), ImageRef(str(path))) for path in (street, other)]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    predict(tmp_path / "manifest.parquet", "-m", tiny.bundle, "--explain", tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.overlay.jpg")}
    assert found == {"in/street.png.overlay.jpg", "other/street.png.overlay.jpg"}


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_slow_scoring_shows_a_bar_on_standard_error(
    tiny: Tiny, street: Path, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = []
    real = progress.bar

    def spy(description: str, total: int | None) -> Any:
        bars.append((description, total, progress.enabled))
        return real(description, total)

    monkeypatch.setattr(progress, "bar", spy)
    predict(street, "-m", tiny.bundle, *more)
    assert bars == [("scoring", 1, True)]


def test_names_with_brackets_are_shown_as_they_are(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "[red]photos"
    folder.mkdir()
    blob_image(1, 1).save(folder / "a[bold].png")
    assert "a[bold].png" in predict(folder, "-m", tiny.bundle).stdout
    written = predict(folder, "-m", tiny.bundle, "-o", folder / "scores.csv").stdout
    assert f"{folder}/scores.csv" in written


def test_a_long_list_is_cut_and_says_so(tiny: Tiny, tmp_path: Path) -> None:
    image = blob_image(1, 1)
    for number in range(TABLE_ROWS + 3):
        image.save(tmp_path / f"{number:02}.png")
    text = predict(tmp_path, "-m", tiny.bundle).stdout
    assert "... and 3 more; write them all with -o scores.csv" in text
    assert f"{TABLE_ROWS - 1:02}.png" in text
    assert f"{TABLE_ROWS:02}.png" not in text


def test_a_folder_goes_into_a_file(tiny: Tiny, tmp_path: Path) -> None:
    expected = make_bad_images(tmp_path / "images")
    good = [name for name, code in expected.items() if code is None]
    output = tmp_path / "scores.csv"
    result = predict(tmp_path / "images", "-m", tiny.bundle, "-o", output)
    assert f"{len(good)} images scored (0 results were there)" in result.stdout
    assert f"8 could not be read: {output}.quarantine.csv\n- " in result.stderr
    assert "- 1: no such file\n" in result.stderr
    with output.open(newline="") as handle:
        assert sorted(row["id"] for row in csv.DictReader(handle)) == sorted(good)


def test_the_share_of_road_work_is_said_or_found(
    tiny: Tiny, predictor: Predictor, street: Path, tmp_path: Path
) -> None:
    for number in range(8):
        blob_image(number, 0).save(street.parent / f"{number}.png")
    plain = predictor.predict(street)[0].probability
    rare = predict(street, "--model", tiny.bundle, "--share", "0.01", "--json")
    bundle = bundle_of(predictor).with_share(0.01)
    expected = bundle_predictor(bundle, backbone_of(predictor)).predict(street)[0].probability
    assert json.loads(rare.stdout)["probability"] == expected < plain

    lines = predict(street.parent, "--model", tiny.bundle, "--share", "auto", "--json")
    printed = {row["id"]: row["probability"] for row in map(json.loads, lines.stdout.splitlines())}
    output = tmp_path / "scores.jsonl"
    written = predict(street.parent, "--model", tiny.bundle, "--share", "auto", "-o", output)
    rows = map(json.loads, output.read_text().splitlines())
    assert printed == {row["id"]: row["probability"] for row in rows}
    for result in (lines, written):
        assert "of 9 images, estimated" in result.stderr
    assert printed["street.png"] != plain

    error = predict(street, "--model", tiny.bundle, "--share", "rare", expect=2).stderr
    assert "--share 'rare': give the share" in error
    assert "'auto'" in error


def test_overlays_show_what_was_printed_at_the_share_found(
    tiny: Tiny, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        blob_image(number, 0).save(street.parent / f"{number}.png")
    drawn: list[float] = []
    explain = Predictor.explain_stream

    def kept(*arguments: Any, **options: Any) -> Any:
        for name, result in explain(*arguments, **options):
            assert isinstance(result, tuple)
            drawn.append(result[0].probability)
            yield name, result

    monkeypatch.setattr(Predictor, "explain_stream", kept)
    options = ("--model", tiny.bundle, "--share", "auto", "--explain", tmp_path / "o", "--json")
    lines = predict(street.parent, *options).stdout.splitlines()
    assert [json.loads(line)["probability"] for line in lines] == pytest.approx(drawn)


def test_the_summary_of_a_file_is_json_too(tiny: Tiny, street: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    summary = json.loads(predict(street, "-m", tiny.bundle, "-o", output, "--json").stdout)
    assert summary["scored"] == 1
    assert summary["quarantined"] == summary["resumed"] == summary["ignored"] == 0
    assert summary["passed_over"] == {}
    assert summary["output"] == str(output)


@pytest.mark.parametrize("more", [[], ["-o", "scores.csv"], ["--json"]])
def test_nothing_but_bad_images_is_a_failure(
    tiny: Tiny, tmp_path: Path, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    result = predict("bad.jpg", "-m", tiny.bundle, *more, expect=1)
    assert "bad.jpg" in result.stderr or "1 could not be read" in result.stderr


@pytest.mark.parametrize("more", [[], ["--json"], ["-o", "scores.csv"], ["--json", "-o", "s.csv"]])
def test_files_passed_over_are_told_on_standard_error(
    tiny: Tiny, street: Path, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.xyz", "b.XYZ", "c.abc", "labels.csv", ".hidden.png"):
        (street.parent / name).touch()
    result = predict(street.parent, "-m", tiny.bundle, *more)
    assert "4 files passed over: 2 .xyz (such as " in result.stderr
    assert "1 other file" in result.stderr
    assert "passed over" not in result.stdout
    if "--json" in more:
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(lines) == 1
        if "-o" in more:
            assert lines[0]["ignored"] == 4
            assert lines[0]["passed_over"] == {".xyz": 2, ".abc": 1, "other file": 1}


def test_one_image_comes_through_standard_input(
    tiny: Tiny, roadwork: Prediction, street: Path, tmp_path: Path
) -> None:
    def piped(*more: object, data: bytes = street.read_bytes()) -> Result:
        arguments = ["predict", "-", "-m", tiny.bundle, *more]
        return runner.invoke(app, [str(a) for a in arguments], input=data)

    assert piped().stdout.startswith("standard input: road work, 0.")
    row = json.loads(piped("--json", "--explain", tmp_path / "overlays").stdout)
    assert (row["id"], row["probability"]) == ("-", roadwork.probability)
    assert [p.name for p in (tmp_path / "overlays").iterdir()] == ["-.overlay.jpg"]
    output = tmp_path / "scores.jsonl"
    assert piped("-o", output, street).exit_code == 0
    written = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert written == ["-", str(street)]
    assert piped(data=b"").exit_code == 2
    assert "standard input is empty" in piped(data=b"").stderr
    assert "not scored: standard input: " in piped(data=b"no image").stderr


def test_the_backbone_looks_once_for_a_result_and_its_overlay(
    tiny: Tiny, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    plain = TorchEngine.run

    def counted(engine: TorchEngine, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        looks.append(len(next(iter(inputs.values()))))
        return plain(engine, graph, inputs)

    monkeypatch.setattr(TorchEngine, "run", counted)
    predict(street, "-m", tiny.bundle)
    alone = looks.copy()
    looks.clear()
    predict(street, "-m", tiny.bundle, "--explain", tmp_path / "overlays")
    assert looks == alone


def test_results_that_wait_for_the_share_show_a_bar(
    tiny: Tiny, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    blob_image(4, 0).save(street.parent / "b.png")
    result = predict(street.parent, "-m", tiny.bundle, "--share", "auto", "--json")
    assert "scoring" in result.stderr
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.jpg", "-m", "{model}"], 2, "gone.jpg does not exist: name an image, a folder or"),
        (["{empty}", "-m", "{model}"], 2, "no images in"),
        ([], 2, "name an image, several, a folder or a manifest, such as: workzone predict"),
        (["https://x.org/a.jpg"], 2, "https://x.org/a.jpg is a web address: download it first"),
        (["{street}", "{street}.gone"], 2, "did you mean 'street.png'?"),
        (["{list}", "-m", "{model}"], 2, "import it first: workzone data import"),
        (["{street}", "-m", "{model}", "-o", "{street}/x.csv"], 2, "is a file, not a folder"),
        (["{street}", "-m", "{empty}"], 1, "no model bundle at"),
        (["{street}", "-m", "{model}", "-o", "scores.txt"], 2, "cannot tell the format of 'scores"),
        (["{street}", "-m", "{model}", "--weights", "w"], 2, "carries its own weights"),
        (["{street}", "-m", "{model}", "--device", "gpu"], 2, "cannot use the device 'gpu'"),
        (["{street}", "-m", "{model}", "--colour"], 2, "No such option"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    tiny: Tiny, street: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("file,label\n")
    names = {
        "list": tmp_path / "list.csv",
        "street": street,
        "model": tiny.bundle,
        "empty": tmp_path / "empty",
    }
    result = predict(*[argument.format(**names) for argument in arguments], expect=code)
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_help_teaches_with_an_example() -> None:
    text = predict("--help").stdout
    assert "Examples" in text
    assert "workzone predict street.jpg --model model" in text
    assert "Above 0.5 is road work" in " ".join(text.split())
    assert "Print JSON lines" in text


@pytest.fixture
def told(predictor: Predictor, tmp_path: Path) -> Path:
    """A bundle that takes daytime."""
    write_bundle(told_bundle(bundle_of(predictor)), tmp_path / "told")
    return tmp_path / "told"


@pytest.fixture
def by_night(street: Path, tmp_path: Path) -> Path:
    samples = [Sample("street", ImageRef("in/street.png"), daytime="night")]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


def test_the_metadata_of_a_manifest_are_used(
    tiny: Tiny, told: Path, by_night: Path, street: Path, tmp_path: Path
) -> None:
    known = json.loads(predict(by_night, "-m", told, "--json").stdout)
    alone = json.loads(predict(by_night, "-m", told, "--json", "--image-only").stdout)
    assert (known["inputs"], alone["inputs"]) == ("image+metadata", "image")
    assert (
        alone["probability"]
        == json.loads(predict(street, "-m", told, "--json").stdout)["probability"]
    )
    assert known["probability"] != alone["probability"]
    for options, expected in (([], known), (["--image-only"], alone)):
        output = tmp_path / "scores.csv"
        predict(by_night, "-m", told, "-o", output, *options)
        with output.open(newline="") as handle:
            (row,) = csv.DictReader(handle)
        assert row["inputs"] == expected["inputs"]
        assert float(row["probability"]) == expected["probability"]
    assert "from the image and its metadata" in predict(by_night, "-m", told).stdout
    assert "from the image alone" in predict(street, "-m", told).stdout
    assert "from the image" not in predict(by_night, "-m", tiny.bundle).stdout


@pytest.mark.parametrize("options", [[], ["--image-only"]])
def test_overlays_are_of_what_was_scored(
    told: Path,
    by_night: Path,
    tmp_path: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explained = []
    explain = Predictor.explain_stream

    def kept(*arguments: Any, **options: Any) -> Any:
        for name, result in explain(*arguments, **options):
            assert isinstance(result, tuple)
            explained.append(result[0])
            yield name, result

    monkeypatch.setattr(Predictor, "explain_stream", kept)
    result = predict(
        *(by_night, "-m", told, "--json", "--explain", tmp_path / "overlays", *options)
    )
    (prediction,) = explained
    row = json.loads(result.stdout)
    assert (prediction.probability, prediction.inputs) == (row["probability"], row["inputs"])
