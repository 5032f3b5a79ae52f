"""A model's repository for the hub: weights, programs, cards, licences; shown, or uploaded."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from workzone.config import from_mapping
from workzone.decide.bundle_json import (
    check_model,
    is_program,
    read_json,
    shipped_bundle,
    shipped_name,
    shipped_program,
)
from workzone.decide.ensemble import is_ensemble
from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.features.spec import FeatureSpec
from workzone.files import replacing_folder, write_text
from workzone.model.config import DetectorConfig
from workzone.subnet.model_card import NAME, check_model_card

OWN_SOURCES = frozenset({"drawn"})
"""Sources in manifests whose images workzone makes from nothing: anybody may have them."""
REPLACED = ("bundle/*", "program*/*")
"""What an upload deletes of the repository where the new publication has it not."""
_CARD, _NOTICE, _PAGE = "MODEL_CARD.md", "NOTICE.txt", "README.md"
_WRITTEN = (NAME, _NOTICE, _PAGE, "bundle", "program*")
"""What is in a publication's folder, and nothing else."""


@dataclass(frozen=True)
class Part:
    """One file of the repository."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """A repository's folder, and what is in it."""

    folder: Path
    repository: str
    parts: tuple[Part, ...]
    card: dict[str, Any]

    @property
    def url(self) -> str:
        """Where it will be; what `workzone miner --model-url` takes."""
        return f"https://huggingface.co/{self.repository}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "repository": self.repository,
            "url": self.url,
            "model_card": self.card,
            "files": [asdict(part) for part in self.parts],
            "replaced": list(REPLACED),
        }


def prepare(
    folder: Path,
    *,
    repository: str,
    hotkey: str,
    name: str,
    version: str,
    description: str = "",
    model: Path | None = None,
    programs: Sequence[Path] = (),
    may_pass_on: Sequence[str] = (),
    now: float | None = None,
) -> Publication:
    """Write the folder of a repository.

    Args:
        folder: that is written; an older publication in it is replaced.
        repository: on the hub, as ``owner/name``.
        hotkey: address of the miner that submits the model.
        name: of the model.
        version: such as 1.0.0.
        description: a sentence; "": one is made.
        model: a bundle's folder; None: the model that comes with workzone.
        programs: folders of exported programs of it; of the model within workzone its own is taken.
        may_pass_on: sources of its training data that may be passed on, by name.
        now: seconds since 1970.

    Raises:
        UsageError: no such repository, a model or program that is none of the kind, or ``folder``
            holds something else than a publication.
        WorkzoneError: of some of its data it is not known that they may be passed on; the card is
            none that the subnet takes; or the folder cannot be written.
    """
    owner, slash, short = repository.partition("/")
    if not (owner and slash and short) or "/" in short:
        raise UsageError(f"--repository {repository!r}: name it as owner/name")
    folder = folder.resolve()  # "." has no name to put another folder beside
    _check_output(folder)
    shipped = shipped_name(model)
    bundle = model if shipped is None else shipped_bundle(shipped)
    assert bundle is not None
    if shipped is not None and not programs:
        programs = [shipped_program(shipped)]
    _check_kinds(bundle, programs)
    held = read_json(bundle)
    _check_sources(bundle, held, may_pass_on)
    card = check_model_card(
        {
            "model_name": name,
            "description": description or _sentence(held),
            "version": version,
            "submitted_by": hotkey,
            "submission_time": int(time.time() if now is None else now),
        }
    )
    with replacing_folder(folder) as aside:
        _copy(bundle, aside / "bundle")
        for number, program in enumerate(programs):
            _copy(program, aside / (f"program-{number + 1}" if number else "program"))
        write_text(aside / NAME, json.dumps(card, indent=2) + "\n")
        write_text(aside / _PAGE, _read_me(bundle, held, card))
        write_text(aside / _NOTICE, _notice(bundle))
        parts = tuple(_parts(aside))
    return Publication(folder, repository, parts, card)


def _check_output(folder: Path) -> None:
    """Make sure that nothing is there, or nothing but what a publication has.

    Raises:
        UsageError: something else is.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"--output {folder} is a file: name a folder to write")
    there = sorted(path.name for path in folder.iterdir())
    foreign = [name for name in there if not any(fnmatch(name, own) for own in _WRITTEN)]
    if foreign or (there and NAME not in there):
        raise UsageError(
            f"--output {folder} is no publication ({foreign[0] if foreign else there[0]} is in "
            "it): name another folder, or an empty one"
        )


def _check_kinds(bundle: Path, programs: Sequence[Path]) -> None:
    check_model(bundle)
    if is_ensemble(bundle):
        raise UsageError(f"{bundle} is an ensemble: publish its members one by one")
    if is_program(bundle):
        raise UsageError(f"{bundle} is an exported program: name its bundle, and it with --program")
    for program in programs:
        check_model(program)
        if not is_program(program):
            raise UsageError(f"--program {program}: write one first: workzone export {bundle}")
        if _origin(program) != _origin(bundle):
            raise UsageError(
                f"--program {program} was exported of another model than {bundle}: export it of "
                f"this one: workzone export {bundle}"
            )


def _origin(folder: Path) -> tuple[Any, ...]:
    """What an export keeps of its bundle, and which data it learned from among it."""
    held = read_json(folder)
    features = FeatureSpec.from_json(held["features"])  # those that were left out have defaults
    detector = from_mapping(DetectorConfig, held["detector"], where="detector")
    return features, detector, held["provenance"]


def _check_sources(bundle: Path, held: dict[str, Any], may_pass_on: Sequence[str]) -> None:
    """Make sure that all data may be passed on in the form of weights.

    Raises:
        WorkzoneError: of some it is not known.
    """
    if held.get("weights_blake2b") == read_json(shipped_bundle()).get("weights_blake2b"):
        return  # whose card names the licence of each of its photographs
    sources = set(held["provenance"].get("sources") or ["not stated"])
    unknown = sorted(sources - OWN_SOURCES - set(may_pass_on))
    if unknown:
        names = " ".join(f"--may-pass-on {source!r}" for source in unknown)
        raise WorkzoneError(
            f"{bundle} learned from {', '.join(unknown)}; whether weights made of these may be "
            f"passed on is not known here. Read their licences; if they may: {names}"
        )


def _sentence(held: dict[str, Any]) -> str:
    return (
        "Whether there is road work in a street image, and how sure: a workzone detector on "
        f"{held['features']['backbone']}, which looks at the image alone."
    )


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            shutil.copyfile(file, target / file.name)


def _read_me(bundle: Path, held: dict[str, Any], card: dict[str, Any]) -> str:
    """The model card as the hub shows it."""
    own = bundle / _CARD
    words = own.read_text(encoding="utf-8") if own.is_file() else _plain_card(held, card)
    return (
        "---\nlibrary_name: workzone\npipeline_tag: image-classification\ntags:\n- road-work\n"
        f"- natix\n- bittensor\n---\n\n{words}"
    )


def _plain_card(held: dict[str, Any], card: dict[str, Any]) -> str:
    provenance = held["provenance"]
    return (
        f"# {card['model_name']} {card['version']}\n\n{card['description']}\n\n"
        f"- Backbone: {held['features']['backbone']}; licence of its weights: "
        f"{held['backbone_licence']}\n"
        f"- Learned from {provenance.get('rows', 'an unknown number of')} images of: "
        f"{', '.join(provenance.get('sources') or ['not stated'])}\n\n"
        "How good it is has not been written down here: `workzone evaluate` says it.\n"
    )


def _notice(bundle: Path) -> str:
    file = bundle / _NOTICE
    if not file.is_file():
        raise WorkzoneError(f"{file} is missing: a bundle without the licences is not published")
    return file.read_text(encoding="utf-8")


def _parts(folder: Path) -> list[Part]:
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = file.read_bytes()
        path = file.relative_to(folder).as_posix()
        found.append(Part(path, len(data), hashlib.sha256(data).hexdigest()))
    return found


def upload(publication: Publication) -> str:
    """Upload the folder with the token that `hf auth login` keeps; the address of what it made.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        WorkzoneError: the hub refuses, or cannot be reached.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface-hub", "huggingface", "uploading") from error
    card = publication.card
    try:
        huggingface_hub.create_repo(publication.repository, exist_ok=True)
        made = huggingface_hub.upload_folder(
            repo_id=publication.repository,
            folder_path=publication.folder,
            commit_message=f"{card['model_name']} {card['version']}",
            delete_patterns=list(REPLACED),
        )
    except Exception as error:  # of many kinds, those of its transport too
        raise WorkzoneError(f"{publication.url} was not written: {error}") from error
    return str(made)
