from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trained import Tiny
from workzone.cli import app
from workzone.cli.console import command
from workzone.config import from_mapping, read_yaml
from workzone.model.presets import PRESETS, preset
from workzone.train.settings import TrainConfig

PAGE = Path(__file__).parents[2] / "docs" / "train" / "models.md"

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"})


def invoke(*arguments: object, expect: int = 0) -> Result:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == expect, f"{arguments}\n{result.output}"
    return result


def test_the_table_is_the_one_in_the_docs() -> None:
    documented = PAGE.read_text()
    lines = [line.rstrip() for line in invoke("models").stdout.splitlines() if line.strip()]
    assert all(any(line.split()[:1] == [name] for line in lines) for name in PRESETS)
    missing = [line for line in lines if line not in documented]
    assert not missing, "docs/train/models.md is behind: put the output of `workzone models` there"


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    narrow = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(app, ["models"])
    lines = narrow.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in narrow.stdout
    assert next(line for line in lines if "huge " in line).split()[:3] == [
        *("huge", "dinov3-vith16plus", "12x512")
    ]


def test_the_docs_speak_of_every_preset() -> None:
    documented = " ".join(PAGE.read_text().split())
    assert [name for name in PRESETS if f"`{name}`" not in documented] == []


@pytest.mark.parametrize("name", ["lite", "small-moe", "huge"])
def test_train_takes_the_yaml(name: str, tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text(invoke("models", name).stdout)
    settings = read_yaml(TrainConfig, tmp_path / "preset.yaml")
    assert settings.detector == preset(name).detector
    plain = from_mapping(TrainConfig, preset(name).training, where=name)
    assert settings == dataclasses.replace(plain, detector=preset(name).detector)


def test_the_comments_say_how_to_train_and_what_it_costs() -> None:
    text = invoke("models", "huge").stdout
    assert "# workzone train MANIFEST -o MODEL --preset huge" in text.splitlines()
    options = "--backbone dinov3-vith16plus --size 512 --pooling cls --config THIS_FILE"
    assert f"workzone train MANIFEST -o MODEL {options}" in text
    assert "840,592,640 frozen" in text
    assert "--pooling" not in invoke("models", "lite").stdout


def test_of_frames_in_their_own_shape_that_of_a_usual_one_is_told() -> None:
    lines = {line.split()[0]: line.split() for line in invoke("models").stdout.splitlines() if line}
    assert [lines[name][2] for name in ("dense", "dense2", "lite", "large")] == [
        *("896x512", "896x512", "4/12x224", "12x384")
    ]
    text = invoke("models", "dense").stdout
    assert "GFLOP for an image (views 896x512 px)" in text
    assert "MODEL --preset dense --config THIS_FILE" in text
    layout = json.loads(invoke("models", "dense", "--json").stdout)["layout"]
    assert (layout["size"], layout["shorter"], layout["step"]) == (896, 512, 64)


def test_json_holds_configuration_and_figures() -> None:
    value = json.loads(invoke("models", "lite", "--json").stdout)
    assert value["backbone"] == "lite0"
    assert value["layout"]["size"] == 224
    assert value["detector"]["width"] == 2560
    cost = value["cost"]
    assert cost["frozen_parameters"] == 3_371_008
    assert cost["predict_memory"] == cost["weights_float32"] + cost["predict_activations"]


def test_a_misspelt_name_is_a_wrong_use() -> None:
    result = invoke("models", "lit-moe", expect=2)
    assert "unknown preset or command 'lit-moe'; did you mean 'lite-moe'?" in result.stderr


def test_log_lines_are_shown_unless_json_was_asked_for() -> None:
    @command
    def work(as_json: bool = False) -> None:
        logging.getLogger("workzone.part").info("something to know")
        logging.getLogger("workzone.part").debug("too much to know")

    logger = logging.getLogger("workzone")
    before = (logger.level, list(logger.handlers))
    assert shown(work) == "something to know\n"
    assert shown(work, as_json=True) == ""
    assert (logger.level, list(logger.handlers)) == before


def shown(work: object, **options: bool) -> str:
    from workzone.cli.console import err

    assert callable(work)
    with err.capture() as capture:
        work(**options)
    return capture.get()


ATTENDING = """
epochs: 1
detector:
  projection: 32
  encoder: {width: 32, depth: 1, heads: 4, kv_heads: 2, feed_forward: 32}
  fusion: gated
  head: [16]
"""


def test_training_and_loading_say_which_attention_kernel_runs(tiny: Tiny, tmp_path: Path) -> None:
    line = "attention: torch's built-in kernels of scaled_dot_product_attention (cpu)"
    (tmp_path / "training.yaml").write_text(ATTENDING)
    (tmp_path / "layout.yaml").write_text("size: 96\ntiles: 2\noverlap: 0.0\nsquares: []\n")
    options = ["--layout", tmp_path / "layout.yaml", "--store", tiny.store]
    options += ["--precision", "float32", "--config", tmp_path / "training.yaml"]
    train = ["train", tiny.manifest_path, "-o", tmp_path / "model", *options]
    assert invoke(*train).stderr.splitlines().count(line) == 1
    photo = tiny.root / "00.png"
    predict = ["predict", photo, "--model", tmp_path / "model"]
    told = invoke(*predict)
    assert told.stderr.splitlines().count(line) == 1
    assert "attention" not in told.stdout
    assert "attention" not in invoke(*predict, "--json").stderr
    # The small detector calls no such kernel.
    assert "attention" not in invoke("predict", photo, "--model", tiny.bundle).stderr


def test_every_preset_has_one_sentence() -> None:
    for entry in PRESETS.values():
        assert entry.summary.endswith(".")
        assert ". " not in entry.summary
