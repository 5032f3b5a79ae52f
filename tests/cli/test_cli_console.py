from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import workzone
from made_images import blob_image
from trained import LAYOUT
from workzone import progress
from workzone.cli import app
from workzone.cli.console import command, err, print_json
from workzone.errors import StoreError, UsageError
from workzone.features.extract import make_spec

runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"})


ROOT: Any = typer.main.get_command(app)


def all_commands() -> list[list[str]]:
    """Every command that can be called, as its words."""

    def below(part: Any, words: list[str]) -> list[list[str]]:
        parts = getattr(part, "commands", {})
        found = [one for name in parts for one in below(parts[name], [*words, name])]
        return found or [words]

    return below(ROOT, [])


def parameters(words: list[str]) -> list[Any]:
    part = ROOT
    for word in words:
        part = part.commands[word]
    params: list[Any] = part.params
    return params


def test_the_commands_are_the_known_ones() -> None:
    names = {" ".join(words) for words in all_commands()}
    assert names >= {
        *("demo", "scenes", "predict", "backbones", "extract", "train", "evaluate"),
        *("data import", "data audit", "data split", "data preview"),
    }


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_every_help_says_what_and_shows_how(words: list[str]) -> None:
    result = runner.invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    text = result.stdout
    assert f"Usage: workzone {' '.join(words)}" in text
    assert "Examples" in text
    shown = [line.strip() for line in text.split("Examples")[1].splitlines()]
    assert any(line.startswith(f"workzone {' '.join(words)}") for line in shown)
    undescribed = [option.name for option in parameters(words) if not option.help]
    assert not undescribed


def test_without_arguments_it_shows_what_there_is() -> None:
    result = runner.invoke(app, [])
    assert result.exit_code == 2
    assert "samples -> views -> features -> detector -> probability -> decision" in result.output
    assert "predict" in result.output


def test_the_version_is_printed() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.strip()) == (0, workzone.__version__)


def test_an_unknown_command_is_a_wrong_use() -> None:
    result = runner.invoke(app, ["predic"])
    assert result.exit_code == 2
    assert "predict" in result.output  # what was meant


def small_app(error: Exception) -> typer.Typer:
    small = typer.Typer()

    @small.command()
    @command
    def fail() -> None:
        """Fail."""
        raise error

    return small


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("no such [name]"), 2), (StoreError("damaged [3][image]"), 1)]
)
def test_errors_become_a_line_and_an_exit_code(error: Exception, code: int) -> None:
    result = runner.invoke(small_app(error), [])
    assert result.exit_code == code
    assert result.stderr == f"error: {error}\n"  # brackets and all
    assert result.stdout == ""


def test_a_bug_is_not_hidden() -> None:
    result = runner.invoke(small_app(ZeroDivisionError("ours")), [])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_reader_that_went_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    redirected = []
    monkeypatch.setattr("os.dup2", lambda source, target: redirected.append(target))
    result = runner.invoke(small_app(BrokenPipeError()), [])
    assert result.exit_code == 1
    assert result.output == ""
    assert redirected == [1]


def test_bars_are_on_in_commands_only() -> None:
    seen = []
    run = command(lambda: seen.append(progress.enabled))
    run()
    assert seen == [True]
    assert not progress.enabled
    runner.invoke(small_app(UsageError("x")), [])
    assert not progress.enabled


def test_json_never_holds_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(math.nan)


def test_the_demo_runs_on_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as WORKZONE_PHOTOS names one; images are made and views small, the rest is real."""
    monkeypatch.setattr(
        "workzone.run.demo.make_spec", lambda net, **more: make_spec(net, layout=LAYOUT, **more)
    )
    photos = tmp_path / "[red]photo:car:graphs [/x]"
    (photos / "photos").mkdir(parents=True)
    lines = ["file,label,group"]
    for number in range(40):
        size = {"width": 240, "height": 160}
        blob_image(number, number % 2, **size).save(photos / "photos" / f"{number}.png")
        lines.append(f"photos/{number}.png,{number % 2},clip-{number // 2}")
    (photos / "labels.csv").write_text("\n".join(lines) + "\n")
    output = tmp_path / "[bold]demo[/]"
    result = runner.invoke(app, ["demo", "-o", str(output)], env={"WORKZONE_PHOTOS": str(photos)})
    assert result.exit_code == 0, result.output
    assert "40 of 40 rows imported" in result.stdout
    assert f"importing the photographs of {photos}" in result.stdout
    assert f"report:   {output}/report.html" in result.stdout
    assert "done in" in result.stdout
    for name in ("audit.json", "split.parquet", "preview.png", "report.html", "model/bundle.json"):
        assert (output / name).stat().st_size > 0, name
    assert len(list((output / "overlays").iterdir())) == 4
    assert "drawings alone" not in result.stdout


def test_python_warnings_are_one_line() -> None:
    @command
    def work() -> None:
        warnings.warn("weather 'fog' is new", stacklevel=1)

    with err.capture() as capture:
        work()
    assert capture.get() == "warning: weather 'fog' is new\n"


def test_the_demo_needs_labels(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    arguments = ["demo", "--photos", str(tmp_path / "[nosuch]"), "-o", str(output)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert f"{tmp_path}/[nosuch]/labels.csv does not exist: give a folder with" in result.stderr
    assert not output.exists()


def test_scenes_are_drawn(tmp_path: Path) -> None:
    arguments = ["scenes", "-o", str(tmp_path), "--count", "4", "--json"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["scenes"] == 4
    assert Path(summary["manifest"]).is_file()
    assert len(list((tmp_path / "images").iterdir())) == 4
