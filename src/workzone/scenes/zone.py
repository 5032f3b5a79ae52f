"""A work zone being set out: its kit, and how the parts of it are put on the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workzone.scenes.canvas import Colour
from workzone.scenes.markers import (
    draw_beacon,
    draw_cone,
    draw_drum,
    draw_fallen_cone,
    draw_tube,
    draw_vertical_panel,
)
from workzone.scenes.people import WORK_POSES, crew_member, draw_worker
from workzone.scenes.place import Area, Stage, pick
from workzone.scenes.signs import (
    ORANGE,
    RED,
    WHITE,
    WORK_PICTOGRAMS,
    YELLOW,
    draw_board,
    draw_diamond,
    draw_triangle,
)
from workzone.scenes.vehicles import WORK_COLOURS, draw_service_truck, draw_tipper
from workzone.scenes.work import (
    MACHINE_COLOURS,
    draw_a_frame,
    draw_barricade,
    draw_barrier_board,
    draw_compressor,
    draw_excavator,
    draw_light_tower,
    draw_paver,
    draw_roller,
)


@dataclass(frozen=True, slots=True)
class Zone:
    """What the arrangements of one work zone have in common."""

    stage: Stage
    rng: np.random.Generator
    marker: str  # cone, drum, tube, panel or beacon
    cone_height: float  # metres
    cone_colour: Colour
    cone_bands: int
    american: bool  # orange diamonds and boards, else red triangles and red and white boards

    @property
    def dark(self) -> bool:
        """Whether lamps are lit."""
        return self.stage.place.daytime != "day"

    def barrier_colours(self) -> list[Colour]:
        """Colours of plastic barriers that take turns in a row."""
        return [ORANGE, WHITE] if self.american else [RED, WHITE]

    def put_marker(self, x: float, z: float) -> None:
        """A marker of the zone's kind, never quite in line."""
        x, z = x + self.rng.normal(0, 0.07), z + self.rng.normal(0, 0.15)
        if self.marker == "drum":
            self.stage.add(draw_drum, x=x, z=z, kind="cone")
        elif self.marker == "tube":
            self.stage.add(draw_tube, x=x, z=z, kind="cone")
        elif self.marker in ("panel", "beacon"):
            draw = draw_vertical_panel if self.marker == "panel" else draw_beacon
            lamp = self.dark and bool(self.rng.random() < 0.35)
            self.stage.add(draw, x=x, z=z, kind="cone", lamp=lamp)
        else:
            fallen = self.rng.random() < 0.03
            self.stage.add(
                draw_fallen_cone if fallen else draw_cone,
                x=x,
                z=z,
                kind="cone",
                height=self.cone_height,
                colour=self.cone_colour,
                bands=self.cone_bands,
            )

    def put_row(self, start: tuple[float, float], end: tuple[float, float], spacing: float) -> None:
        """Markers along a line between two spots (x, z)."""
        count = max(2, round(abs(end[1] - start[1]) / spacing) + 1)
        for x, z in zip(
            np.linspace(start[0], end[0], count).tolist(),
            np.linspace(start[1], end[1], count).tolist(),
            strict=True,
        ):
            self.put_marker(x, z)

    def put_sign(self, x: float, z: float) -> None:
        """A sign of road works on a folding stand or a post."""
        stand = bool(self.rng.random() < 0.6)
        height = self.rng.uniform(0.9, 1.4) if stand else self.rng.uniform(2.0, 2.6)
        pictogram = pick(self.rng, WORK_PICTOGRAMS)
        if self.rng.random() < 0.2:
            colour = ORANGE if self.american else pick(self.rng, [RED, YELLOW])
            ink = WHITE if colour == RED else (16, 16, 16)
            size = (self.rng.uniform(0.9, 1.5), self.rng.uniform(0.6, 0.9))
            self.stage.add(
                draw_board,
                x=x,
                z=z,
                kind="sign",
                size=size,
                bottom=0.5,
                colour=colour,
                ink=ink,
                stand=True,
            )
        elif self.american:
            size_of_diamond = self.rng.uniform(0.55, 0.85)
            self.stage.add(
                draw_diamond,
                x=x,
                z=z,
                kind="sign",
                size=size_of_diamond,
                height=max(height, size_of_diamond + 0.3),
                colour=ORANGE,
                pictogram=pictogram,
                stand=stand,
            )
        else:
            field = pick(self.rng, [WHITE, WHITE, YELLOW])
            self.stage.add(
                draw_triangle,
                x=x,
                z=z,
                kind="sign",
                size=self.rng.uniform(0.5, 0.75),
                height=height,
                field=field,
                pictogram=pictogram,
                stand=stand,
            )

    def put_barricade(self, x: float, z: float, width: float, boards: int) -> None:
        """Striped boards across the view, of one of the region's kinds."""
        lamps = bool(self.rng.random() < (0.7 if self.dark else 0.25))
        kind = self.rng.random()
        if boards < 3 and width <= 1.7 and kind < 0.5:
            self.stage.add(
                draw_a_frame,
                x=x,
                z=z,
                kind="barrier",
                width=width,
                boards=boards,
                red=not self.american,
                turn=self.rng.normal(0, 0.3),
            )
        elif not self.american and kind < 0.75:
            self.stage.add(draw_barrier_board, x=x, z=z, kind="barrier", width=width, lamps=lamps)
        else:
            self.stage.add(
                draw_barricade,
                x=x,
                z=z,
                kind="barrier",
                width=width,
                boards=boards,
                red=not self.american,
                lamps=lamps,
            )

    def put_workers(self, x: float, z: float, spread: float, count: int) -> None:
        """Some of the crew around a spot."""
        for _ in range(count):
            self.stage.add(
                draw_worker,
                x=x + self.rng.uniform(-spread, spread),
                z=z + self.rng.uniform(-2, 4),
                kind="worker",
                outfit=crew_member(self.rng),
                pose=pick(self.rng, WORK_POSES),
                facing=pick(self.rng, [-1, 1]),
            )

    def put_vehicle(self, x: float, z: float) -> None:
        """A vehicle of the crew."""
        draw = pick(self.rng, [draw_tipper, draw_service_truck])
        colour = pick(self.rng, WORK_COLOURS)
        self.stage.add(draw, x=x, z=z, kind="vehicle", colour=colour, lit=self.dark)

    def put_machine(self, x: float, z: float) -> None:
        """Equipment: a machine or something it needs."""
        kind, colour = int(self.rng.integers(6)), pick(self.rng, MACHINE_COLOURS)
        if kind < 2:
            facing = 1 if x < 0 else -1
            self.stage.add(draw_excavator, x=x, z=z, kind="equipment", colour=colour, facing=facing)
        elif kind == 2:
            self.stage.add(draw_roller, x=x, z=z, kind="equipment", colour=colour)
        elif kind == 3:
            self.stage.add(draw_paver, x=x, z=z, kind="equipment", colour=colour)
        elif kind == 4:
            self.stage.add(draw_compressor, x=x, z=z, kind="equipment", colour=colour)
        else:
            self.stage.add(draw_light_tower, x=x, z=z, kind="equipment", lit=self.dark)

    def claim(self, x0: float, x1: float, z0: float, z1: float) -> None:
        """Keep ordinary things out of the zone."""
        self.stage.claim(Area(min(x0, x1), max(x0, x1), z0, z1))
