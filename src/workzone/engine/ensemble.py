"""An ensemble as a program: members that read the same views alike share what was read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from workzone.decide.calibration import Calibration
from workzone.decide.description import Description
from workzone.decide.ensemble import Ensemble
from workzone.engine.program import Answer, Array, Arrays, Engine, GraphName, Program, Seen
from workzone.views import ViewLayout


class EnsembleProgram(Program):
    """Programs of an ensemble's members, judged together."""

    description: Ensemble

    def __init__(self, ensemble: Ensemble, programs: Sequence[Program]) -> None:
        """Take one program per member, in their order.

        Of members that read alike (`Ensemble.readings`) the first one's reader is run for all.
        """
        super().__init__(ensemble, _Together([program.engine for program in programs]))
        self.programs = programs
        self._lead = ensemble.members.index(ensemble.lead)

    @property
    def layouts(self) -> tuple[ViewLayout, ...]:
        """How it sees an image."""
        return self.description.layouts

    def described(self, description: Description) -> EnsembleProgram:
        """The same graphs under another description: another share, view size, or looks."""
        assert isinstance(description, Ensemble)
        members = zip(self.programs, description.members, strict=True)
        programs = [program.described(member.model) for program, member in members]
        return EnsembleProgram(description, programs)

    def calibration(self, with_metadata: bool) -> Calibration:
        """Of the members' average; it judges the image alone."""
        return self.description.calibration

    def run(self, images: Sequence[Seen], *, masks: bool = False) -> list[Answer]:
        """Judge a batch of images; evidence is that of the leading member.

        Raises:
            UsageError: views of another number or size than a layout's, or masks are wanted.
            BundleError: a member gave a value that is not a finite number.
        """
        if masks:
            self.description.check_masks()
        by_member: dict[int, list[Answer]] = {}
        for group in self.description.readings():
            programs = [self.programs[number] for number in group]
            layout = self.description.members[group[0]].model.spec.layout
            seen = [self._seen(image, layout) for image in images]
            by_member |= zip(group, programs[0].run_each(seen, programs), strict=True)
        return [
            self._together([by_member[number][row] for number in range(len(self.programs))])
            for row in range(len(images))
        ]

    def _seen(self, image: Seen, layout: ViewLayout) -> Seen:
        number = self.layouts.index(layout)
        if number == 0:
            return Seen(image.pixels, image.boxes)
        views = image.others[number - 1]
        return Seen(views.pixels, views.boxes)

    def _together(self, answers: Sequence[Answer]) -> Answer:
        members = np.array([answer.probability for answer in answers])
        raw = float(self.description.mixture.apply(members))
        return dataclasses.replace(
            answers[self._lead],
            probability=float(self.description.calibration.apply(raw)),
            raw=raw,
            members=tuple(members.tolist()),
        )


class _Together:
    """What is said of the engines of all members."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines
        names = {engine.name for engine in engines}
        self.name = names.pop() if len(names) == 1 else "several"
        precisions = {engine.precision for engine in engines}
        self.precision = precisions.pop() if len(precisions) == 1 else "several"
        self.device = engines[0].device
        self.views_at_once = min(engine.views_at_once for engine in engines)
        self.streams = min(engine.streams for engine in engines)

    def begin_stream(self) -> None:
        for engine in self._engines:
            engine.begin_stream()

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        raise NotImplementedError("the members of an ensemble have graphs, not the ensemble")
