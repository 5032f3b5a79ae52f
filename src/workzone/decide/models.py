"""A model on disk that torch judges with: a bundle, or an ensemble of bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.ensemble import Ensemble, Member, is_ensemble, read_ensemble, write_ensemble

Model = Bundle | Ensemble


def read_model(folder: Path) -> Model:
    """Read a bundle, or an ensemble of bundles.

    Raises:
        BundleError: there is none, it is damaged, or it was made by a later version.
    """
    return read_ensemble(folder, _read_bundles) if is_ensemble(folder) else read_bundle(folder)


def write_model(model: Model, folder: Path) -> None:
    """Write a bundle, or an ensemble of bundles, whole or not at all.

    Raises:
        BundleError: the folder exists and holds something else.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    if isinstance(model, Bundle):
        write_bundle(model, folder)
    else:
        write_ensemble(model, folder, _write_member)


def bundles_of(model: Model) -> list[Bundle]:
    """The bundles in a model: itself, or its members."""
    if isinstance(model, Bundle):
        return [model]
    members = [member.model for member in model.members]
    return [member for member in members if isinstance(member, Bundle)]


def leading_bundle(model: Model) -> Bundle:
    """The bundle that shows the evidence: a bundle itself, or the member that weighs most."""
    if isinstance(model, Bundle):
        return model
    assert isinstance(model.lead.model, Bundle)
    return model.lead.model


def _read_bundles(folders: Sequence[Path]) -> list[Bundle]:
    return [read_bundle(folder) for folder in folders]


def _write_member(member: Member, folder: Path) -> None:
    assert isinstance(member.model, Bundle)  # those of a program have nothing to write
    write_bundle(member.model, folder)
