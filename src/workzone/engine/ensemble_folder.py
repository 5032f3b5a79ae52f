"""The folder of an ensemble of exported programs, loaded; torch is not needed."""

from __future__ import annotations

from pathlib import Path

from workzone.decide.bundle_json import is_program
from workzone.decide.ensemble import MEMBERS, read_ensemble
from workzone.engine.choose import load_program
from workzone.engine.ensemble import EnsembleProgram
from workzone.engine.folder import read_exported


def exported_members(folder: Path) -> bool:
    """Whether the members of an ensemble's folder are exported programs."""
    members = folder / MEMBERS
    return members.is_dir() and any(is_program(member) for member in members.iterdir())


def load_exported_ensemble(
    folder: Path, *, engine: str | None = None, precision: str | None = None, device: str = "cpu"
) -> EnsembleProgram:
    """Load an exported ensemble; see :func:`workzone.engine.choose.load_program`.

    Unasked, members run on the engine and in the precision that they were exported for.

    Raises:
        BundleError, UsageError, MissingExtraError: see `load_program`.
    """
    ensemble = read_ensemble(folder, lambda folders: [read_exported(one) for one in folders])
    programs = []
    for member in ensemble.members:
        own = folder / MEMBERS / member.name
        made = read_exported(own)
        programs.append(
            load_program(
                own,
                engine=engine or made.engine,
                precision=precision or made.precision,
                device=device,
            )
        )
    return EnsembleProgram(ensemble, programs)
