"""Cut-outs, rendered when they are first asked for and kept in a folder."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from workzone.scenes.rendered import tracer
from workzone.scenes.rendered.catalogue import KINDS, Kind
from workzone.scenes.rendered.cutout import Cutout, read_cutout, write_cutout
from workzone.scenes.rendered.faces import OutlinedFaces, SignFaces
from workzone.scenes.rendered.light import OVERCAST
from workzone.scenes.rendered.material import Model, Part
from workzone.scenes.rendered.tracer import View

MODELS_VERSION = "1"
"""Changes with the models and the views of them."""
SAMPLES = 32
"""Per pixel."""

_EYE = 1.4
"""Metres above the ground from which cut-outs are seen: a dashcam's."""
_FOCAL = 1000.0
"""Pixels; cut-outs are as large as they look in a frame of about that width."""
_TALLEST, _WIDEST = 220.0, 320.0
"""Pixels of an object, at most."""
_KEPT = 24
"""Cut-outs held in memory."""


@dataclass(frozen=True, slots=True)
class CutoutSpec:
    """What a cut-out shows.

    ``kind``: of `KINDS`; ``condition``: of `light.CONDITIONS`; ``distance``: metres; ``turn``:
    degrees; ``variant``: number of it; ``flipped``: the model is mirrored, so that the mirrored
    cut-out is right and its light comes from the left.
    """

    kind: str
    condition: str
    distance: float
    turn: float
    variant: int
    flipped: bool = False


@dataclass(slots=True)
class CutoutLibrary:
    """A folder of cut-outs.

    ``folder``: made if needed, shared by any number of jobs; ``faces``: of signs; ``samples``: per
    pixel.
    """

    folder: Path
    faces: SignFaces = field(default_factory=OutlinedFaces)
    samples: int = SAMPLES
    _held: dict[CutoutSpec, Cutout] = field(default_factory=dict, init=False, repr=False)

    @property
    def version(self) -> str:
        """Names all that its cut-outs depend on."""
        return f"{tracer.VERSION}.{MODELS_VERSION}.{self.samples} {self.faces.version}"

    def get(self, spec: CutoutSpec) -> Cutout:
        """A cut-out from the folder, rendered now if it is not there.

        Raises:
            MissingExtraError: it is to be rendered, and Mitsuba is not installed.
            WorkzoneError: the folder cannot be written.
        """
        if spec not in self._held:
            path = self.path(spec)
            found = read_cutout(path)
            if found is None:
                write_cutout(self._render(spec), path, json.dumps(asdict(spec)))
                found = read_cutout(path)  # as it is kept: a job that goes on sees the same
            if found is None:
                raise AssertionError(f"{path} was written and cannot be read")
            if len(self._held) >= _KEPT:
                self._held.pop(next(iter(self._held)))
            self._held[spec] = found
        return self._held[spec]

    def path(self, spec: CutoutSpec) -> Path:
        """Where a cut-out is kept: the name tells all that it is made of."""
        key = hashlib.blake2b(f"{self.version} {asdict(spec)}".encode(), digest_size=8).hexdigest()
        return self.folder / f"{re.sub('[^a-z]+', '-', spec.kind.lower())}-{key}.png"

    def _render(self, spec: CutoutSpec) -> Cutout:
        name = repr(sorted(asdict(spec).items())).encode()
        seed = int.from_bytes(hashlib.blake2b(name, digest_size=4).digest())
        rng = np.random.default_rng(seed)
        wear = float(rng.beta(1.3, 3.4))
        model = _turned(KINDS[spec.kind].build(rng, wear, self.faces), spec)
        points = np.concatenate([part.mesh.vertices for part in model])
        width, _, height = (float(size) for size in np.ptp(points, axis=0))
        scale = min(_FOCAL / spec.distance, _TALLEST / height, _WIDEST / width)
        view = View(spec.distance, _EYE, scale, self.samples)
        return tracer.render(model, view, spec.condition, seed % (1 << 31))


def choose_spec(
    kind: str, condition: str, distance: float, turn: float, *, left: bool, lot: float
) -> tuple[CutoutSpec, bool]:
    """The cut-out that comes nearest, and whether its mirror image is to be used.

    Args:
        kind: of `KINDS`.
        condition: of `light.CONDITIONS`.
        distance: metres.
        turn: degrees that it is turned by from facing the viewer, counter-clockwise from above.
        left: whether the sun stands to the left.
        lot: 0..1, which of its variants; of an overcast day also whether it is mirrored.
    """
    known = KINDS[kind]
    variant = min(int(lot * known.variants), known.variants - 1)
    mirrored = left
    if condition == OVERCAST:
        mirrored = not known.handed and (lot * known.variants) % 1 < 0.5
    wanted = -turn if mirrored else turn
    spec = CutoutSpec(
        kind=kind,
        condition=condition,
        distance=min(known.distances, key=lambda d: _farness(d, max(distance, 0.1))),
        turn=min(known.turns, key=lambda t: abs((t - wanted + 180) % 360 - 180)),
        variant=variant,
        flipped=mirrored and known.handed,
    )
    return spec, mirrored


def _farness(rendered: float, wanted: float) -> float:
    """How ill a cut-out's distance suits; those to be enlarged suit worse than those reduced."""
    ratio = math.log(rendered / wanted)
    return 2.2 * ratio if ratio > 0 else -ratio


def _turned(model: Model, spec: CutoutSpec) -> Model:
    """A model as it stands before the viewer, the nearest that touches the ground at ``y = 0``."""
    parts = [Part(part.mesh.turned(math.radians(spec.turn)), part.material) for part in model]
    if spec.flipped:
        parts = [Part(part.mesh.mirrored(), part.material) for part in parts]
    points = np.concatenate([part.mesh.vertices for part in parts])
    low = points[points[:, 2] < points[:, 2].min() + 0.5]
    nearest = float(low[:, 1].min())
    middle = float(low[:, 0].min() + low[:, 0].max()) / 2 if _long(spec) else 0.0
    return [Part(part.mesh.moved(-middle, -nearest), part.material) for part in parts]


def _long(spec: CutoutSpec) -> bool:
    """Whether it is centred where it touches the ground rather than about its own origin."""
    known: Kind = KINDS[spec.kind]
    return len(known.turns) > 1
