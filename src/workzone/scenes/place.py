"""The street that the scenes of one drive share, and the stage on which objects stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from workzone.scenes.canvas import Canvas

T = TypeVar("T")

ENVIRONMENTS = ("urban", "suburban", "highway", "rural")
DAYTIMES = ("day", "dusk", "night")
WEATHERS = ("clear", "overcast", "rain")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, each as likely."""
    return options[int(rng.integers(len(options)))]


@dataclass(frozen=True, slots=True)
class Road:
    """Where things lie across the road: metres to the right of the camera, which is in a lane."""

    lane: float  # width of a lane
    left: float  # edges of the own carriageway, with oncoming lanes where nothing divides them
    right: float
    lane_lines: tuple[float, ...]  # dashed
    centre: float | None  # the line between the directions; None on a divided road
    own: tuple[float, ...]  # middles of the lanes of the own direction
    oncoming: tuple[float, ...]
    parking: float  # width of the strip for parked cars beyond the right edge; 0: none
    pavement: float  # width of the pavement, or of a highway's shoulder

    @property
    def verge(self) -> float:
        """Where the pavement on the right begins."""
        return self.right + self.parking

    @property
    def outer_right(self) -> float:
        """The far edge of the pavement on the right; buildings and trees stand beyond."""
        return self.verge + self.pavement

    @property
    def outer_left(self) -> float:
        """The same on the left."""
        return min((self.left, *(x - self.lane / 2 for x in self.oncoming))) - self.pavement


@dataclass(frozen=True, slots=True)
class Place:
    """A street at a time of day."""

    seed: int
    environment: str  # one of ENVIRONMENTS
    daytime: str
    weather: str
    road: Road
    eye: float  # height of the camera, metres
    focal: float  # in widths of the frame
    horizon: float  # in heights of the frame, from above
    mirrored: bool
    autumn: bool


def choose_place(seed: int) -> Place:
    """A street drawn by lot; the same seed gives the same street."""
    rng = np.random.default_rng([seed, 0])
    environment = ENVIRONMENTS[int(rng.choice(4, p=[0.4, 0.25, 0.2, 0.15]))]
    return Place(
        seed=seed,
        environment=environment,
        daytime=DAYTIMES[int(rng.choice(3, p=[0.66, 0.14, 0.2]))],
        weather=WEATHERS[int(rng.choice(3, p=[0.5, 0.3, 0.2]))],
        road=_choose_road(rng, environment),
        eye=rng.uniform(1.15, 1.6) if rng.random() < 0.8 else rng.uniform(1.8, 2.6),
        focal=rng.uniform(0.7, 1.15),
        horizon=rng.uniform(0.4, 0.56),
        mirrored=bool(rng.random() < 0.25),
        autumn=bool(rng.random() < 0.3),
    )


def _choose_road(rng: np.random.Generator, environment: str) -> Road:
    lane = rng.uniform(3.5, 3.9) if environment == "highway" else rng.uniform(2.9, 3.5)
    ranges = {"urban": (1, 3), "suburban": (1, 2), "highway": (2, 4), "rural": (1, 1)}
    low, high = ranges[environment]
    lanes = int(rng.integers(low, high + 1))
    place_in_road = int(rng.integers(lanes))  # lanes to the left of the own one
    own = tuple((index - place_in_road) * lane for index in range(lanes))
    inner = own[0] - lane / 2
    divided = environment == "highway"
    one_way = environment == "urban" and rng.random() < 0.25
    gap = 4.0 if divided else 0.0
    oncoming = tuple(inner - gap - (index + 0.5) * lane for index in range(0 if one_way else lanes))
    joined = (*(() if divided else oncoming), *own)
    parked = environment in ("urban", "suburban") and rng.random() < 0.5
    return Road(
        lane=lane,
        left=min(joined) - lane / 2,
        right=own[-1] + lane / 2,
        lane_lines=tuple(x + lane / 2 for x in (*own[:-1], *(() if divided else oncoming[1:]))),
        centre=None if divided or one_way else inner,
        own=own,
        oncoming=oncoming,
        parking=2.3 if parked else 0.0,
        pavement={"urban": rng.uniform(2.2, 4), "suburban": 1.8, "highway": 2.8}.get(
            environment, 0.6
        ),
    )


PARKING_CONE = "parking cone"
"""The kind of a cone that is no road work: in the objects of a scene, and in no mask."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of ground, metres."""

    x0: float
    x1: float
    z0: float
    z1: float

    def meets(self, other: Area) -> bool:
        """Whether two areas overlap."""
        return (
            self.x0 < other.x1 and other.x0 < self.x1 and self.z0 < other.z1 and other.z0 < self.z1
        )


@dataclass(frozen=True, slots=True)
class Item:
    """An object waiting to be drawn, and its class ("" for an ordinary one)."""

    z: float
    kind: str
    draw: Callable[[Canvas], None]
    wear: float = 0.0


@dataclass
class Stage:
    """Objects on the street; drawn from far to near, so that near ones hide far ones."""

    place: Place
    wear: float = 0.0  # of the objects that are put from now on, 0..1
    items: list[Item] = field(default_factory=list)
    claimed: list[Area] = field(default_factory=list)

    def add(
        self,
        draw: Callable[..., None],
        *,
        x: float,
        z: float,
        kind: str = "",
        depth: float = 0.0,
        **details: object,
    ) -> None:
        """Put an object at ``x``, ``z``; what is too near to be seen whole is left out.

        ``depth``: metres behind ``z`` up to which other objects are drawn over it; for what stands
        behind all that is beside it, as buildings do.
        """
        if z > 2.5:
            drawn = partial(draw, x=x, z=z, **details)
            self.items.append(Item(z + depth, kind, drawn, self.wear if kind else 0.0))

    def claim(self, area: Area) -> bool:
        """Keep an area for one object; False where it is taken already."""
        if any(area.meets(taken) for taken in self.claimed):
            return False
        self.claimed.append(area)
        return True

    def draw(self, canvas: Canvas) -> None:
        """Draw all objects."""
        for item in sorted(self.items, key=lambda item: -item.z):
            with canvas.owned(item.kind, item.wear):
                item.draw(canvas)
