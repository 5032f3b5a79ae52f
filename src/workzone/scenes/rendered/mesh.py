"""Triangle meshes of simple bodies.

Metres; ``x`` to the right, ``y`` away from the viewer, ``z`` up; an object stands on ``z = 0``, and
its front looks towards the viewer, down the negative ``y`` axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]
Flat = tuple[float, float]

_CREASE = math.cos(math.radians(52))
"""Faces that meet at less than this angle are shaded as one smooth surface."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles with texture coordinates.

    ``vertices``: ``[N, 3]`` metres; ``faces``: int ``[M, 3]``, counter-clockwise from outside;
    ``uv``: ``[N, 2]``, ``v`` upwards.
    """

    vertices: Floats
    faces: npt.NDArray[np.int64]
    uv: Floats

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> Mesh:
        """Shifted by metres."""
        return Mesh(self.vertices + np.array([x, y, z]), self.faces, self.uv)

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        """Stretched about the origin; by ``x`` alone evenly."""
        factors = np.array([x, x if y is None else y, x if z is None else z])
        return Mesh(self.vertices * factors, self.faces, self.uv)

    def turned(self, angle: float, axis: str = "z") -> Mesh:
        """Turned about an axis through the origin, radians, right-handed."""
        sin, cos = math.sin(angle), math.cos(angle)
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = cos
        turn[first, second], turn[second, first] = -sin, sin
        return Mesh(self.vertices @ turn.T, self.faces, self.uv)

    def mirrored(self) -> Mesh:
        """With left and right exchanged."""
        return Mesh(self.vertices * np.array([-1, 1, 1]), self.faces[:, ::-1].copy(), self.uv)

    def bent(self, bend: Callable[[Floats], Floats]) -> Mesh:
        """With its vertices moved by a function of ``[N, 3]``."""
        return Mesh(bend(self.vertices), self.faces, self.uv)

    def corners(self) -> tuple[Floats, Floats, Floats]:
        """Positions, normals and texture coordinates of each face's corners, ``[3 M, ...]``."""
        corners = self.faces.reshape(-1)
        positions = self.vertices[corners]
        return positions, _shading_normals(positions), self.uv[corners]


def _shading_normals(positions: Floats) -> Floats:
    """Normals per corner: those of the faces around a spot that it does not meet at a crease."""
    a, b, c = positions[0::3], positions[1::3], positions[2::3]
    weighted = np.repeat(np.cross(b - a, c - a), 3, axis=0)  # length: twice the area
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    unit = weighted / np.maximum(lengths, 1e-12)
    _, spots = np.unique(np.round(positions, 5), axis=0, return_inverse=True)
    spots = spots.reshape(-1)
    order = np.argsort(spots, kind="stable")
    sizes = np.bincount(spots)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.arange(len(order)) - starts[spots[order]]  # within its spot
    total = np.zeros_like(positions)
    for step in range(int(sizes.max())):
        size = sizes[spots[order]]
        inside = step < size
        other = order[starts[spots[order]] + (place + step) % size]
        alike = inside & ((unit[order] * unit[other]).sum(axis=1) > _CREASE)
        total[order[alike]] += weighted[other[alike]]
    found = np.linalg.norm(total, axis=1, keepdims=True)
    normals: Floats = np.where(found > 1e-12, total / np.maximum(found, 1e-12), unit)
    return normals


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several as one."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate(
            [mesh.faces + offset for mesh, offset in zip(meshes, offsets.tolist(), strict=True)]
        ),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def grid(points: Floats, *, closed: bool = False) -> Mesh:
    """A surface through rings (or, not ``closed``, lines) of points ``[R, P, 3]``.

    Texture: ``u`` along a ring, ``v`` from the first to the last.
    """
    rings, count = points.shape[:2]
    if closed:
        points = np.concatenate([points, points[:, :1]], axis=1)
        count += 1
    u, v = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, rings))
    index = np.arange(rings * count).reshape(rings, count)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    return Mesh(points.reshape(-1, 3), faces, np.stack([u, v], -1).reshape(-1, 2))


def revolve(profile: Sequence[Flat], segments: int = 40) -> Mesh:
    """A body of revolution; ``profile`` holds radius and height, from the lowest ring upwards."""
    turn = np.linspace(0, 2 * math.pi, segments, endpoint=False) - math.pi / 2
    rings = np.array(
        [
            np.stack([r * np.cos(turn), r * np.sin(turn), np.full(segments, z)], -1)
            for r, z in profile
        ]
    )
    mesh = grid(rings, closed=True)
    heights = np.array([z for _, z in profile])
    low, high = float(heights.min()), float(heights.max())
    mesh.uv[:, 1] = (mesh.vertices[:, 2] - low) / max(high - low, 1e-9)
    return mesh


def ellipsoid(radii: Vector, centre: Vector = (0, 0, 0), segments: int = 24) -> Mesh:
    """A stretched ball."""
    angles = np.linspace(-math.pi / 2, math.pi / 2, segments // 2 + 1)
    ball = revolve([(max(math.cos(t), 1e-4), math.sin(t)) for t in angles.tolist()], segments)
    return ball.scaled(*radii).moved(*centre)


def box(size: Vector, centre: Vector, bevel: float = 0.008) -> Mesh:
    """A box with bevelled edges; each of its six faces has the whole texture."""
    half = np.array(size) / 2
    bevel = min(bevel, float(half.min()) * 0.45)
    vertices: list[Floats] = []
    uv: list[Flat] = []
    index: dict[tuple[int, tuple[int, ...]], int] = {}
    across = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
    for axis in range(3):
        for signs in np.ndindex(2, 2, 2):
            way = np.array(signs) * 2 - 1
            inner = half - bevel
            inner[axis] = half[axis]
            index[axis, signs] = len(vertices)
            vertices.append(way * inner)
            first, second = across[axis]
            right = 1 if (axis == 1) == (way[1] < 0) or axis == 2 else -1
            if axis == 0:
                right = 1 if way[0] > 0 else -1
            uv.append(((way[first] * right + 1) / 2, (way[second] + 1) / 2))
    faces: list[tuple[int, ...]] = []
    for axis in range(3):
        first, second = across[axis]
        for side in range(2):  # the face itself
            ring = []
            for f, s in ((0, 0), (1, 0), (1, 1), (0, 1)):
                corner = [0, 0, 0]
                corner[axis], corner[first], corner[second] = side, f, s
                ring.append(index[axis, tuple(corner)])
            faces.append(tuple(ring))
        for f, s in np.ndindex(2, 2):  # the bevels along this axis
            ends = []
            for end in range(2):
                corner = [0, 0, 0]
                corner[axis], corner[first], corner[second] = end, f, s
                ends.append((index[first, tuple(corner)], index[second, tuple(corner)]))
            faces.append((ends[0][0], ends[0][1], ends[1][1], ends[1][0]))
    faces += [tuple(index[axis, signs] for axis in range(3)) for signs in np.ndindex(2, 2, 2)]
    points = np.array(vertices)
    triangles = []
    for face in faces:
        for last in range(2, len(face)):
            a, b, c = face[0], face[last - 1], face[last]
            normal = np.cross(points[b] - points[a], points[c] - points[a])
            outward = float(normal @ (points[a] + points[b] + points[c])) > 0
            triangles.append((a, b, c) if outward else (a, c, b))
    return Mesh(points + np.array(centre), np.array(triangles), np.array(uv, float))


def plate(outline: Sequence[Flat], thickness: float = 0.004) -> tuple[Mesh, Mesh]:
    """A flat upright sheet in the plane ``y = 0``: its front, and its back with the rim.

    ``outline``: offsets across and heights, counter-clockwise from the front; seen whole from its
    middle. The texture covers the rectangle around it.
    """
    points = np.array(outline, float)
    low, high = points.min(axis=0), points.max(axis=0)
    middle = points.mean(axis=0, keepdims=True)
    ring = np.concatenate([points, middle])
    count = len(points)
    fan = np.array([(i, (i + 1) % count, count) for i in range(count)])
    uv = (ring - low) / np.maximum(high - low, 1e-9)
    front = np.stack([ring[:, 0], np.zeros(count + 1), ring[:, 1]], -1)
    behind = front + np.array([0, thickness, 0])
    rim = grid(np.stack([front[:count], behind[:count]]), closed=True)
    back = Mesh(behind, fan[:, ::-1].copy(), uv)
    return Mesh(front, fan, uv), joined([back, Mesh(rim.vertices, rim.faces[:, ::-1], rim.uv)])


def rod(start: Vector, end: Vector, radius: float, last: float | None = None, n: int = 12) -> Mesh:
    """A round bar with round ends, of ``radius`` at its start and ``last`` at its end."""
    a, b = np.array(start, float), np.array(end, float)
    length = float(np.linalg.norm(b - a))
    top = radius if last is None else last
    caps = np.linspace(0, math.pi / 2, 4).tolist()
    profile = [(max(radius * math.sin(t), 1e-4), -radius * math.cos(t)) for t in caps]
    profile += [(max(top * math.cos(t), 1e-4), length + top * math.sin(t)) for t in caps]
    upright = revolve(profile, n)
    along = (b - a) / max(length, 1e-9)
    side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(along, side), along])
    return Mesh(upright.vertices @ frame + a, upright.faces, upright.uv)


def loft(sections: Sequence[Floats] | Floats) -> Mesh:
    """A closed body through rings of points ``[R, P, 3]``, with flat ends.

    Rings run counter-clockwise as seen from the last one.
    """
    rings = np.asarray(sections, float)
    hull = grid(rings, closed=True)
    ends = []
    for ring, reverse in ((rings[0], True), (rings[-1], False)):
        count = len(ring)
        points = np.concatenate([ring, ring.mean(axis=0, keepdims=True)])
        fan = np.array([(i, (i + 1) % count, count) for i in range(count)])
        uv = np.full((count + 1, 2), 0.0 if reverse else 1.0)
        ends.append(Mesh(points, fan[:, ::-1].copy() if reverse else fan, uv))
    return joined([hull, *ends])


def beam(pairs: Sequence[tuple[Flat, Flat]], width: float, x: float = 0) -> Mesh:
    """A slab ``width`` thick that stands in the plane of ``y`` and ``z``, as an excavator's boom.

    ``pairs``: from one end to the other, an edge's spot (y, z) and the opposite edge's.
    """
    half = width / 2
    rings = [
        np.array([(x - half, *a), (x + half, *a), (x + half, *b), (x - half, *b)]) for a, b in pairs
    ]
    mesh = loft(rings)
    first = mesh.vertices[mesh.faces[0]]
    normal = np.cross(first[1] - first[0], first[2] - first[0])
    inside = np.asarray(rings, float)[:2].mean(axis=(0, 1))
    if float(normal @ (first.mean(axis=0) - inside)) < 0:
        return Mesh(mesh.vertices, mesh.faces[:, ::-1].copy(), mesh.uv)
    return mesh


def ribbon(corners: Sequence[Vector]) -> Mesh:
    """A flat four-cornered sheet, seen from either side; lower left first, counter-clockwise."""
    a, b, c, d = (np.array(corner, float) for corner in corners)
    return grid(np.array([[a, b], [d, c]]))


def wavy(rng: np.random.Generator, amount: float, size: float) -> Callable[[Floats], Floats]:
    """Dents and folds for `Mesh.bent`: ``amount`` metres deep, about ``size`` metres wide."""
    waves = rng.normal(0, 2 * math.pi / size / 1.7, (6, 3))
    phases = rng.uniform(0, 2 * math.pi, 6)
    ways = rng.normal(0, 1, (6, 3))
    ways *= amount / math.sqrt(6) / np.linalg.norm(ways, axis=1, keepdims=True)

    def bend(points: Floats) -> Floats:
        moved: Floats = points + np.sin(points @ waves.T + phases) @ ways
        return moved

    return bend
