"""The pages docs/score/python.md and cli.md are true: their code runs, their commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from made_images import blob_image
from trained import Tiny
from workzone.cli import app

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_python_page_runs_from_top_to_bottom(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "model").symlink_to(tiny.bundle)
    blob_image(1, 1).save(tmp_path / "street.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    found = blocks("score/python.md", "python")
    assert len(found) == 8
    namespace: dict[str, Any] = {}
    for block in found:
        exec(compile(block, "docs/score/python.md", "exec"), namespace)
    said = capsys.readouterr().out
    assert "1 scored; 1 in scores.csv.quarantine.csv" in said
    assert "missing - gone.jpg: no such file" in said


def commands() -> list[str]:
    return [line for block in blocks("score/cli.md", "sh") for line in block.splitlines()]


def commands_of_all_pages() -> list[str]:
    """Command lines of every fenced block."""
    found = []
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
        for block in re.findall(
            r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.removeprefix("$ ") for line in lines]
    return sorted({line for line in found if line.startswith("workzone ")})


@pytest.mark.parametrize("line", commands_of_all_pages())
def test_commands_of_the_docs_exist_with_their_options(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    assert program == "workzone"
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for part in command.params for name in (*part.opts, *part.secondary_opts)}
    assert {word for word in words if word.startswith("-") and word != "-"} <= known


def test_every_command_has_an_example_on_the_page() -> None:
    root: Any = typer.main.get_command(app)
    listed = " ".join(commands())
    for name, part in root.commands.items():
        for below in getattr(part, "commands", {"": None}):
            assert f"workzone {name} {below}".strip() in listed
