"""Several models as one: what it is, and its folder.

::

    bundle.json          as of its leading member, with "ensemble": members and their weights
    familiarity.npz      of its leading member, where that has it
    members/NAME/...     each member, a bundle or an exported program
    training.json        content hashes and groups of the images that any member learned from
    NOTICE.txt           licences of the parts

It judges the image alone, also where members take metadata. Nothing here needs torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workzone.config import from_mapping
from workzone.decide.bundle_json import (
    describe,
    notice,
    parse_description,
    read_json,
    training_json,
)
from workzone.decide.calibration import Calibration
from workzone.decide.conformal import ConformalSets
from workzone.decide.description import Description
from workzone.decide.familiarity import familiarity_json, write_familiarity
from workzone.decide.mixture import Mixture
from workzone.errors import BundleError, UsageError
from workzone.files import replacing_folder, write_text, writing
from workzone.model.config import DetectorConfig
from workzone.views import ViewLayout

MEMBERS = "members"
"""The folder of the members."""


def check_member_names(names: Sequence[str]) -> None:
    """Make sure that each name is that of a folder in `MEMBERS`.

    Raises:
        UsageError: it could lead elsewhere.
    """
    for name in names:
        if name in ("", "..") or "\\" in name or Path(name).name != name:
            raise UsageError(
                f"member {name!r}: give a name that a folder can have, without / in it"
            )


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model among others."""

    name: str  # of its folder
    model: Description


@dataclass(frozen=True, kw_only=True)
class Ensemble(Description):
    """Members whose calibrated probabilities are averaged, and the average calibrated.

    ``spec`` is that of the leading member, which also shows the evidence.

    Raises:
        UsageError: fewer than two members, two of one name, a name that is no folder's, or not one
            weight for each.
    """

    members: tuple[Member, ...]
    mixture: Mixture
    disagreement_cut: float | None = None  # above it members contradict each other; None: not set

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [member.name for member in self.members]
        if len(names) < 2 or len(set(names)) < len(names):
            raise UsageError(f"an ensemble has two members or more, each of its own name: {names}")
        check_member_names(names)
        if len(self.mixture.weights) != len(names):
            raise UsageError(
                f"an ensemble has a weight for each of its {len(names)} members, got "
                f"{len(self.mixture.weights)}"
            )

    @property
    def lead(self) -> Member:
        """The member that weighs most."""
        return self.members[int(np.argmax(self.mixture.weights))]

    @property
    def config(self) -> DetectorConfig:
        """Shape of the leading member, without metadata."""
        return dataclasses.replace(self.lead.model.config, metadata=None)

    @property
    def layouts(self) -> tuple[ViewLayout, ...]:
        """How members see images, each way once, the leading member's first."""
        seen = (self.spec.layout, *(member.model.spec.layout for member in self.members))
        return tuple(dict.fromkeys(seen))

    @property
    def views_read(self) -> int:
        """Views of an image that backbones read for all members, shared ones counted once."""
        models = [member.model for member in self.members]
        return sum(models[group[0]].views_read for group in self.readings())

    @property
    def resizable(self) -> bool:
        """Whether every member is."""
        return all(member.model.resizable for member in self.members)

    def check_masks(self) -> None:
        """An ensemble has no masks.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "an ensemble has no masks of its own: name a member that has some, in its folder "
            f"{MEMBERS}/"
        )

    def readings(self) -> list[list[int]]:
        """Numbers of the members, those that read the same views alike together."""
        groups: dict[str, list[int]] = {}
        for number, member in enumerate(self.members):
            groups.setdefault(_reading(member.model, number), []).append(number)
        return list(groups.values())

    def disagree(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether members contradict each other, bool ``[...]``; False where no cut is set.

        Args:
            probabilities: calibrated ones of the members ``[..., M]``.
        """
        apart = self.mixture.disagreement(probabilities)
        cut = np.inf if self.disagreement_cut is None else self.disagreement_cut
        return np.asarray(apart > cut)

    def identity(self) -> str:
        """16 hex digits that change with anything that changes a probability."""
        digest = hashlib.blake2b(digest_size=8)
        facts = [
            [member.model.identity() for member in self.members],
            dataclasses.asdict(self.mixture),
            dataclasses.asdict(self.calibration),
            self.test_time and dataclasses.asdict(self.test_time),
        ]
        if self.test_time is not None and self.test_time.choose == "familiar":
            facts.append(familiarity_json(self.familiarity))
        digest.update(json.dumps(facts).encode())
        return digest.hexdigest()

    def _doubted_by(self) -> list[Any]:
        return [*super()._doubted_by(), self.disagreement_cut]

    def _unfamiliar_note(self) -> str:
        return (
            f"this ensemble would tell what is unlike training by its member {self.lead.name}, "
            "which weighs most and has no statistics of what it learned from (or none for views "
            "of another --size than its own). Add them: workzone models familiarise ENSEMBLE "
            "--data MANIFEST"
        )

    def with_view_size(self, size: int | None) -> Self:
        """See `Description.with_view_size`; all members see views of that size."""
        if size is None:
            return self
        members = tuple(
            dataclasses.replace(member, model=member.model.with_view_size(size))
            for member in self.members
        )
        lead = members[self.members.index(self.lead)].model
        familiarity = self.familiarity if lead.spec == self.spec else None
        return dataclasses.replace(
            self, members=members, spec=lead.spec, familiarity=familiarity, conformal=None
        )


def _reading(model: Description, number: int) -> str:
    """What is alike where two models read the same views alike; the number where views are chosen.

    Stored grids, their type and copies are of training alone.
    """
    if model.views_read < model.spec.layout.count:
        return f"member {number}"
    plain = dataclasses.replace(model.spec, grid_views=(), stored_type="float32")
    plain = dataclasses.replace(plain, grid_size=(0, 0), grid_width=0)
    parts = {**plain.to_json(), "augmentation": None, "dense": model.config.dense}
    return json.dumps(parts, sort_keys=True)


def make_ensemble(
    models: Mapping[str, Description],
    mixture: Mixture,
    calibration: Calibration,
    *,
    provenance: Mapping[str, Any],
    disagreement_cut: float | None = None,
    conformal: ConformalSets | None = None,
) -> Ensemble:
    """An ensemble of models, by name, in the order of the mixture's weights.

    It is told what is unlike training by the statistics of the leading member; conformal sets are
    those given, of the mixture's probabilities, never a member's.

    Raises:
        UsageError: see `Ensemble`.
    """
    each = list(models.values())
    lead = each[int(np.argmax(mixture.weights))]
    return Ensemble(
        spec=lead.spec,
        calibration=calibration,
        familiarity=lead.familiarity,
        conformal=conformal,
        backbone_licence="; ".join(dict.fromkeys(model.backbone_licence for model in each)),
        provenance=provenance,
        training_images=frozenset(chain(*(model.training_images for model in each))),
        training_groups=frozenset(chain(*(model.training_groups for model in each))),
        members=tuple(Member(name=name, model=model) for name, model in models.items()),
        mixture=mixture,
        disagreement_cut=disagreement_cut,
    )


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds several models as one."""
    try:
        return "ensemble" in json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def check_ensemble_folder(folder: Path) -> None:
    """Make sure that an ensemble may be written to a folder.

    Raises:
        BundleError: it exists and holds something else.
    """
    if (
        folder.exists()
        and not is_ensemble(folder)
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise BundleError(f"{folder} is not empty and not an ensemble; name another folder")


def write_ensemble(
    ensemble: Ensemble,
    folder: Path,
    write_member: Callable[[Member, Path], None],
    *,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write an ensemble, whole or not at all; an older model in ``folder`` is replaced.

    Args:
        ensemble: the models.
        folder: to write.
        write_member: writes one member to a folder.
        more: what else ``bundle.json`` is to say.

    Raises:
        BundleError: the folder exists and holds something else.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    folder = folder.resolve()
    check_ensemble_folder(folder)
    training = training_json(ensemble)
    held = describe(ensemble) | {
        "ensemble": {
            "members": [member.name for member in ensemble.members],
            "mixture": dataclasses.asdict(ensemble.mixture),
            "disagreement_cut": ensemble.disagreement_cut,
        },
        "training_blake2b": hashlib.blake2b(training).hexdigest(),
    }
    with replacing_folder(folder) as aside:
        for member in ensemble.members:
            write_member(member, aside / MEMBERS / member.name)
        with writing(aside / "training.json") as path:
            path.write_bytes(training)
        write_familiarity(ensemble.familiarity, aside)
        where = f"those of its members in {MEMBERS}/, each with its own notice"
        write_text(aside / "NOTICE.txt", notice(ensemble, backbone=where))
        text = json.dumps(held | dict(more or {}), indent=2, allow_nan=False)
        write_text(aside / "bundle.json", text + "\n")


def read_ensemble(
    folder: Path, read_members: Callable[[Sequence[Path]], Sequence[Description]]
) -> Ensemble:
    """Read an ensemble.

    Args:
        folder: of the ensemble.
        read_members: reads the members of these folders.

    Raises:
        BundleError: it or a member is damaged, or was made by a later version.
    """
    try:
        held = read_json(folder)
        own = held["ensemble"]
        training = (folder / "training.json").read_bytes()
        if hashlib.blake2b(training).hexdigest() != held["training_blake2b"]:
            raise BundleError(
                f"{folder / 'training.json'} is not the file that bundle.json describes; copy the "
                "ensemble again, whole"
            )
        parts = parse_description(folder, held, training)[1]
        check_member_names(own["members"])
        folders = [folder / MEMBERS / name for name in own["members"]]
        models = read_members(folders)
        return Ensemble(
            **parts,
            members=tuple(
                Member(name=name, model=model)
                for name, model in zip(own["members"], models, strict=True)
            ),
            mixture=from_mapping(Mixture, own["mixture"], where="mixture"),
            disagreement_cut=own["disagreement_cut"],
        )
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"the ensemble at {folder} is damaged: {error} is missing") from error
    except Exception as error:  # a damaged file can fail in any way
        raise BundleError(f"the ensemble at {folder} is damaged: {error}") from error
