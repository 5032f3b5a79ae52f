"""From an ensemble of bundles to one of programs, each of which has passed the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.decide.description import Description
from workzone.decide.ensemble import Ensemble, Member, write_ensemble
from workzone.engine.export import Export, export
from workzone.engine.folder import share_reader
from workzone.engine.gate import GateImage
from workzone.engine.program import Seen


def export_ensemble(
    ensemble: Ensemble,
    backbones: Sequence[Backbone],
    folder: Path,
    images: Callable[[Description], Sequence[GateImage]],
    *,
    engine: str = "onnx",
    precision: str = "float32",
    calibration: Callable[[Description, Sequence[GateImage]], Sequence[Seen]] | None = None,
) -> list[Export]:
    """Write the members of an ensemble as programs of another engine.

    Args:
        ensemble: of bundles.
        backbones: that the members work on, one each.
        folder: to write; an older ensemble in it is replaced.
        images: gives those to compare on, as a model's views.
        engine: as of :func:`workzone.engine.export.export`.
        precision: likewise.
        calibration: gives images to measure the ranges of int8 on.

    Raises:
        GateError: a member's program does not answer as the member does; nothing is written.
        BundleError, MissingExtraError, UsageError: as of `export`.
    """
    done: list[Export] = []
    placed: dict[str, Path] = {}
    readings = ensemble.readings()

    def write_member(member: Member, place: Path) -> None:
        assert isinstance(member.model, Bundle)
        number = ensemble.members.index(member)
        compared = images(member.model)
        measured = [] if calibration is None else calibration(member.model, compared)
        made = export(
            *(member.model, backbones[number], place, compared),
            engine=engine,
            precision=precision,
            calibration=measured,
        )
        done.append(made)
        placed[member.name] = place
        first = next(group[0] for group in readings if number in group)
        if first != number:
            share_reader(place, placed[ensemble.members[first].name])

    write_ensemble(ensemble, folder, write_member)
    return done
