"""The folder with a teacher's weights: on this machine, or fetched from the hub."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.backbones.hub import hub_reason
from workzone.errors import TeacherError

PATTERNS = ("*.json", "*.safetensors", "*.txt")
"""Of the hub's files; never a pickle."""


@dataclass(frozen=True)
class Published:
    """Where the weights of a teacher are published, and what their folder says of itself."""

    name: str
    hub_id: str
    model_types: tuple[str, ...]  # of its config.json


def weights_folder(published: Published, folder: Path | None) -> Path:
    """The folder with a teacher's files: the one named, or the hub's copy.

    Raises:
        TeacherError: no such folder, one of another model or without weights; or the hub gives
            none, and how to get them.
    """
    if folder is None:
        folder = _from_hub(published)
    config = folder / "config.json"
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
        found = values.get("model_type") if isinstance(values, dict) else None
    except (OSError, ValueError) as error:
        raise TeacherError(
            f"no weights of {published.name} in {folder}: {config.name} cannot be read ({error}); "
            f"name a folder with the files of https://huggingface.co/{published.hub_id}"
        ) from error
    if found not in published.model_types:
        raise TeacherError(
            f"{config} is of a model of the type {found!r}, not {published.model_types[0]!r}: name "
            "its folder, or another --teacher"
        )
    if not list(folder.glob("*.safetensors")):
        raise TeacherError(
            f"no *.safetensors in {folder}: fetch those of "
            f"https://huggingface.co/{published.hub_id} (other forms of weights are never opened)"
        )
    return folder


def weights_hash(folder: Path) -> str:
    """BLAKE2b-64 of a folder's configuration, vocabulary and tensors, as 16 hex digits."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path for pattern in PATTERNS for path in folder.glob(pattern)):
        digest.update(f"{file.name}:{file.stat().st_size}:".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def load_model(kind: Any, folder: Path, **options: Any) -> Any:
    """A model of transformers with all of its tensors from a folder.

    Raises:
        TeacherError: files that are damaged, or lack tensors.
    """
    from safetensors import SafetensorError

    try:
        model, loading = kind.from_pretrained(
            str(folder),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise TeacherError(
            f"the weights in {folder} cannot be read: {' '.join(str(error).split())[:300]}; fetch "
            "them again"
        ) from error
    missing = sorted(loading["missing_keys"])
    if missing:
        raise TeacherError(
            f"the weights in {folder} lack {len(missing)} tensors, the first is {missing[0]}; "
            "fetch them again"
        )
    return model.eval().requires_grad_(False)


def load_processor(kind: Any, folder: Path) -> Any:
    """A processor of transformers: what prepares images and phrases.

    Raises:
        TeacherError: files that are missing or damaged.
    """
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TeacherError(
            f"the tokenizer or the settings for images in {folder} cannot be read: "
            f"{' '.join(str(error).split())[:300]}; fetch the folder again, with all of its json "
            "and txt files"
        ) from error


def _from_hub(published: Published) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(published.hub_id, allow_patterns=list(PATTERNS)))
    except Exception as error:  # network, licence, disk: the hub's own kinds differ by version
        reason = hub_reason(published.name, published.hub_id, error, local="--weights FOLDER")
        raise TeacherError(reason) from error
