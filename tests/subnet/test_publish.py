"""The repository that the subnet wants of a miner's model."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from workzone.cli import app
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.subnet.keys import new_key
from workzone.subnet.model_card import KEYS, ModelCardError, check_model_card, read_model_card
from workzone.subnet.publish import Publication, prepare, upload

HOTKEY = new_key().ss58_address
CARD = {
    "model_name": "street-work",
    "description": "Road work in street images.",
    "version": "1.0.0",
    "submitted_by": HOTKEY,
    "submission_time": 1_800_000_000,
}


def made(folder: Path, **how) -> Publication:
    told = {"repository": "me/street-work", "hotkey": HOTKEY, "name": "street-work"}
    return prepare(folder, **{**told, "version": "1.0.0", "now": 1_800_000_000.5, **how})


def other_bundle(folder: Path, **provenance) -> Path:
    """The model within workzone as if somebody else had made it."""
    shutil.copytree(shipped_bundle(), folder)
    held = json.loads((folder / "bundle.json").read_text())
    held["weights_blake2b"] = "0" * 128
    held["provenance"] = provenance
    (folder / "bundle.json").write_text(json.dumps(held))
    return folder


def test_the_model_within_workzone(tmp_path: Path) -> None:
    found = made(tmp_path / "out")
    names = {part.path for part in found.parts}
    assert names >= {
        "README.md",
        "NOTICE.txt",
        "model_card.json",
        "bundle/bundle.json",
        "bundle/detector.safetensors",
        "program/reader.onnx",
        "program/judge.onnx",
    }
    assert found.url == "https://huggingface.co/me/street-work"
    card = json.loads((tmp_path / "out" / "model_card.json").read_text())
    assert card == found.card == {**CARD, "description": card["description"]}
    assert "image alone" in card["description"]
    for part in found.parts:
        data = (tmp_path / "out" / part.path).read_bytes()
        assert (part.bytes, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for source, name in ((shipped_bundle(), "bundle"), (shipped_program(), "program")):
        for file in source.iterdir():
            assert (tmp_path / "out" / name / file.name).read_bytes() == file.read_bytes()
    read_me = (tmp_path / "out" / "README.md").read_text()
    assert read_me.startswith("---\n") and "# The default model" in read_me
    assert (tmp_path / "out" / "NOTICE.txt").read_text() == (
        shipped_bundle() / "NOTICE.txt"
    ).read_text()


def test_an_older_publication_is_replaced_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.bin").touch()
    monkeypatch.chdir(out)
    for folder in (out, Path(), out / "old.bin"):
        with pytest.raises(UsageError, match=r"--output .*out.* name a"):
            made(folder)
    (out / "model_card.json").touch()
    with pytest.raises(UsageError, match=r"old\.bin is in it"):  # a clone of something, perhaps
        made(out)
    (out / "model_card.json").unlink()
    assert (out / "old.bin").exists()
    (out / "old.bin").unlink()
    assert made(Path()).folder == out
    (out / "NOTICE.txt").write_text("old")
    made(out)
    assert (out / "NOTICE.txt").read_text() != "old"


def test_data_that_may_perhaps_not_be_passed_on(tmp_path: Path) -> None:
    bundle = other_bundle(tmp_path / "model", sources=["drawn", "natix", "photos"], rows=7)
    with pytest.raises(WorkzoneError, match=r"natix, photos; .*--may-pass-on 'natix' --may-pass"):
        made(tmp_path / "out", model=bundle, may_pass_on=["other"])
    with pytest.raises(WorkzoneError, match="learned from photos;"):
        made(tmp_path / "out", model=bundle, may_pass_on=["natix"])
    assert not (tmp_path / "out").exists()
    (bundle / "MODEL_CARD.md").unlink()
    found = made(tmp_path / "out", model=bundle, may_pass_on=["natix", "photos"])
    assert not [part for part in found.parts if part.path.startswith("program")]
    read_me = (tmp_path / "out" / "README.md").read_text()
    assert "Learned from 7 images of: drawn, natix, photos" in read_me


def test_data_of_which_nothing_is_told(tmp_path: Path) -> None:
    bundle = other_bundle(tmp_path / "model")
    with pytest.raises(WorkzoneError, match="learned from not stated"):
        made(tmp_path / "out", model=bundle)


def test_what_is_no_model_of_the_kind(tmp_path: Path) -> None:
    for how, message in (
        ({"repository": "street-work"}, "name it as owner/name"),
        ({"repository": "a/b/c"}, "name it as owner/name"),
        ({"model": shipped_program()}, "is an exported program"),
        ({"programs": [shipped_bundle()]}, "write one first"),
        ({"model": tmp_path}, "no model bundle at"),
        ({"version": "1.0"}, "version: '1.0' is not like 1.0.0"),
        ({"hotkey": "nobody"}, "is no address of a key"),
    ):
        with pytest.raises(WorkzoneError, match=message):
            made(tmp_path / "out", **how)
    bundle = other_bundle(tmp_path / "model", sources=["drawn"])
    (bundle / "NOTICE.txt").unlink()
    with pytest.raises(WorkzoneError, match=r"NOTICE\.txt is missing"):
        made(tmp_path / "out", model=bundle)
    held = json.loads((bundle / "bundle.json").read_text())
    held["features"]["weight_hash"] = "0" * 32
    (bundle / "bundle.json").write_text(json.dumps(held))
    with pytest.raises(UsageError, match="of another model"):
        made(tmp_path / "out", model=bundle, programs=[shipped_program()])


def test_a_program_of_other_data_is_not_published_unseen(tmp_path: Path) -> None:
    """On the same backbone: only what a bundle learned from is asked for."""
    bundle = other_bundle(tmp_path / "model", sources=["drawn"])
    with pytest.raises(UsageError, match=r"--program .* of another model than .*model: export it"):
        made(tmp_path / "out", model=bundle, programs=[shipped_program()])
    program = tmp_path / "program"
    shutil.copytree(shipped_program(), program)
    held = json.loads((program / "bundle.json").read_text())
    (program / "bundle.json").write_text(json.dumps(held | {"provenance": {"sources": ["drawn"]}}))
    found = made(tmp_path / "out", model=bundle, programs=[program])
    assert "program/judge.onnx" in {part.path for part in found.parts}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Stands for `huggingface_hub`: what it was asked."""
    module, asked = ModuleType("huggingface_hub"), []
    for name in ("create_repo", "upload_folder"):

        def call(*given, _name=name, **more) -> str:
            asked.append((_name, {"given": given, **more}))
            return "https://huggingface.co/me/street-work/commit/1"

        setattr(module, name, call)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


def test_an_upload_is_what_was_shown(tmp_path: Path, hub: list[tuple[str, dict]]) -> None:
    found = made(tmp_path / "out")
    assert not hub
    assert upload(found).endswith("/commit/1")
    (created, repository), (uploaded, told) = hub
    assert (created, uploaded) == ("create_repo", "upload_folder")
    assert repository == {"given": ("me/street-work",), "exist_ok": True}
    assert (told["repo_id"], told["folder_path"]) == ("me/street-work", tmp_path / "out")
    assert told["delete_patterns"] == found.to_json()["replaced"]
    assert told["commit_message"] == "street-work 1.0.0"


def test_an_upload_that_fails_is_told(
    tmp_path: Path, hub: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(tmp_path / "out")
    error = {"side_effect": OSError("no such token")}
    monkeypatch.setattr(sys.modules["huggingface_hub"], "upload_folder", Mock(**error))
    with pytest.raises(WorkzoneError, match=r"me/street-work was not written: no such token"):
        upload(found)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match="huggingface"):
        upload(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "v1.0.0"}, "version"),
        ({"version": "1.0.0-rc1"}, "version"),
        ({"version": "01.0.0"}, "version"),
        ({"version": 1}, "version: 1 is no text"),
        ({"submission_time": "2026-01-01"}, "is no whole number"),
        ({"submission_time": True}, "is no whole number"),
        ({"submission_time": 5}, "before the subnet began"),
        ({"submitted_by": "5abc"}, "is no address of a key"),
        ({"model_name": ""}, "model_name: empty"),
        ({"more": 1}, "more: not known to the subnet"),
    ],
)
def test_cards_that_the_subnet_would_not_take(changes: dict, message: str) -> None:
    with pytest.raises(ModelCardError, match=message):
        check_model_card(CARD | changes)


def test_a_card_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model_card.json"
    for text, message in (("{", "cannot be read"), ("[]", "holds no keys"), ("{}", "missing")):
        file.write_text(text)
        with pytest.raises(ModelCardError, match=message):
            read_model_card(file)
    file.write_text(json.dumps(CARD))
    assert read_model_card(file) == CARD
    assert set(CARD) == set(KEYS)


def test_the_documented_card_is_the_one_that_is_made(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mining.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    shown = check_model_card(json.loads(block))
    assert made(tmp_path / "out", hotkey=shown["submitted_by"]).card == shown


def test_the_command_shows_what_it_would_upload(tmp_path: Path) -> None:
    hotkeys = tmp_path / "wallets" / "mine" / "hotkeys"
    hotkeys.mkdir(parents=True)
    (hotkeys / "firstpub.txt").write_text(json.dumps({"ss58Address": HOTKEY}))
    options = ["--wallet", "mine", "--hotkey", "first", "--wallets", str(tmp_path / "wallets")]
    command = ["publish", "me/street-work", *options, "-o", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert check_model_card(said["model_card"])["submitted_by"] == HOTKEY
    assert {part["path"] for part in said["files"]} == {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    plain = CliRunner().invoke(app, command[:-1])  # in place of the publication before
    assert plain.exit_code == 0, plain.output
    assert "deletes what else the repository has in bundle/*, program*/*" in " ".join(
        plain.stdout.split()
    )
