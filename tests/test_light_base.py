"""The base install runs a model, and nothing heavy is in it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.utils import parse_wheel_filename
from PIL import Image

import light_base
from made_images import blob_image
from workzone.errors import GEO_PACKAGES, TRAIN_PACKAGES, MissingExtraError, needing_train

ROOT = Path(__file__).parents[1]

PACKAGES = {
    *(
        "contourpy",
        "filelock",
        "numpy",
        "onnxruntime",
        "pillow",
        "pyarrow",
        "pyyaml",
        "rich",
        "simplejpeg",
    ),
    "typer",
}
HEAVY = {"torch", "torchvision", "timm", "transformers", "scikit-learn", "scipy", "matplotlib"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9_.-]+", line)[0] for line in requirements}


def workzone(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    return light_base.run("-m", "workzone", *arguments, expect=expect)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    blob_image(3, 1, width=320, height=200).save(tmp_path / "street.jpg")
    return tmp_path / "street.jpg"


def test_the_base_packages() -> None:
    assert names(project()["dependencies"]) == PACKAGES


def test_nothing_heavy_comes_with_a_base_package() -> None:
    assert light_base.closure("workzone") & HEAVY == set()
    assert names(project()["optional-dependencies"]["train"]) >= HEAVY


def test_every_package_of_the_extra_is_told_from_others() -> None:
    extra = names(project()["optional-dependencies"]["train"])
    modules = {"scikit-learn": "sklearn"}
    assert {modules.get(name, name.replace("-", "_")) for name in extra} == TRAIN_PACKAGES
    geo = names(project()["optional-dependencies"]["geo"])
    assert {name.replace("-", "_") for name in geo} == GEO_PACKAGES


def test_what_is_hidden_is_hidden() -> None:
    hidden = light_base.foreign_modules()
    assert {"torch", "sklearn", "matplotlib", "onnx", "safetensors", "pytest"} <= hidden
    assert not {"numpy", "onnxruntime", "workzone", "pydantic"} & hidden
    assert "No module named 'torch'" in light_base.run("-c", "import torch", expect=1).stderr


def test_predict(street: Path, tmp_path: Path) -> None:
    done = workzone("predict", street, "--explain", tmp_path / "overlays")
    assert re.search(r"street\.jpg: (no )?road work, 0\.\d\d", done.stdout)
    (overlay,) = (tmp_path / "overlays").iterdir()
    assert Image.open(overlay).width >= 360
    doubted = json.loads(workzone("predict", street, "--unsure", "abstain", "--json").stdout)
    assert doubted["unlike"] > 1  # a drawn street is none
    assert doubted["decision"] == "unsure"
    said = json.loads(workzone("predict", street, "--json").stdout)
    assert (said["engine"], said["precision"]) == ("onnx", "float32")


def test_folders_and_files_of_results(street: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    workzone("predict", tmp_path, "-o", tmp_path / "scores.csv")
    workzone("predict", tmp_path, "-o", tmp_path / "scores.parquet")
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["id"]).name for row in rows] == ["street.jpg"]
    table = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert table[0]["probability"] == pytest.approx(float(rows[0]["probability"]))


def test_python(street: Path) -> None:
    code = (
        f"import workzone; model = workzone.load(); p = model.predict({str(street)!r})[0]; "
        f"q, picture = model.explain({str(street)!r}); assert p == q; print(p.decision, "
        "p.engine, picture.size, sorted({'torch', 'scipy', 'pyarrow'} & set(sys.modules)))"
    )
    said = light_base.run("-c", code).stdout
    assert re.fullmatch(r"(roadwork|none) onnx \(\d+, \d+\) \[\]\n", said)


def test_models_are_listed() -> None:
    assert "dinov3-vith16plus" in workzone("models").stdout
    assert "detector:" in workzone("models", "huge").stdout


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "extract m.parquet",
        "train m.parquet -o model",
        "evaluate m.parquet",
        "export -o program",
        "scenes -o drawn",
        "data split m.parquet -o split.parquet",
        "predict street.jpg --tta 2",
        "predict street.jpg --engine torch",
    ],
)
def test_what_needs_the_extra_says_so(command: str, street: Path, tmp_path: Path) -> None:
    command = command.replace("street.jpg", str(street)).replace(" -o ", f" -o {tmp_path}/")
    done = workzone(*command.split(), expect=1)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(r"needs the package '\w+': pip install 'workzone\[train\]'$", line)


def test_masks_by_a_teacher_name_their_own_extra(tmp_path: Path) -> None:
    done = workzone("masks", "m.parquet", "-o", tmp_path / "masked.parquet", expect=1)
    assert "needs the package 'torch': pip install 'workzone[sam3]'" in done.stderr


def test_what_is_wrong_otherwise_says_that(street: Path, tmp_path: Path) -> None:
    for options, code, said in (
        (["--model", tmp_path / "nosuch"], 1, "no model bundle at"),
        (["--model", tmp_path], 1, "no model bundle at"),
        (["--device", "xyz"], 2, "xyz"),
        (["--engine", "tvm"], 2, "engine 'tvm' is unknown"),
        (["--precision", "bf16"], 2, "did you mean 'bfloat16'?"),
        (["--precision", "bfloat16"], 1, "pip install 'workzone[openvino]'"),
    ):
        errors = workzone("predict", street, *options, expect=code).stderr
        assert said in errors
        assert "[train]" not in errors


def test_other_modules_that_are_missing_are_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="surely_nowhere"), needing_train("this"):
        import surely_nowhere  # noqa: F401
    wanted = r"this needs the package 'torch'"
    with pytest.raises(MissingExtraError, match=wanted), needing_train("this"):
        raise ModuleNotFoundError(name="torch.nn")


PLATFORMS = {
    "macOS on Apple's processors": re.compile(r"macosx_\d+_\d+_(arm64|universal2)|any"),
    "Linux on arm64": re.compile(r"manylinux\S*_aarch64|any"),
    "Linux on x86-64": re.compile(r"manylinux\S*_x86_64|any"),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["311", "312", "313"])
def test_every_base_package_has_a_wheel(platform: str, python: str) -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    wheels: dict[str, set] = {}
    for package in lock["package"]:
        for wheel in package.get("wheels", []):
            tags = parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]
            wheels.setdefault(package["name"], set()).update(tags)
    for name in light_base.closure("workzone") - {"workzone"}:
        fitting = [
            tag
            for tag in wheels[name]
            if PLATFORMS[platform].fullmatch(tag.platform)
            and (tag.abi == "abi3" or tag.interpreter in (f"cp{python}", "py3"))
        ]
        assert fitting, f"{name} has no wheel for {platform}, Python {python}"
