"""What Mitsuba is given: the ground, skies, headlights, materials and meshes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.errors import MissingExtraError
from workzone.scenes.rendered.light import (
    ELEVATIONS,
    OVERCAST,
    SKY_SIZE,
    SUNS,
    Sky,
    overcast_sky,
    with_houses,
)
from workzone.scenes.rendered.material import Material
from workzone.scenes.rendered.mesh import Mesh

ALBEDO = 0.2
"""Of the ground."""
BLOCK = 32
"""Pixels of a tile; named, since by default it follows the number of cores, and noise with it."""

_VARIANT = "scalar_rgb"
"""Needs neither LLVM nor a GPU."""


@contextmanager
def open_mitsuba() -> Iterator[Any]:
    """Mitsuba with the variant set; whoever else uses it gets theirs back."""
    try:
        import mitsuba
    except ModuleNotFoundError as error:
        raise MissingExtraError("mitsuba", "render", "rendering objects") from error
    before = mitsuba.variant()
    mitsuba.set_variant(_VARIANT)
    try:
        yield mitsuba
    finally:
        if before is not None:
            mitsuba.set_variant(before)


def ground(mi: Any) -> dict[str, Any]:
    """A wide grey disc."""
    return {
        "type": "disk",
        "to_world": mi.ScalarTransform4f().scale(3000),
        "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": ALBEDO}},
    }


def daylight(mi: Any, condition: str) -> dict[str, Any]:
    """Emitters of a sky, and of the sun where it shines."""
    if condition == OVERCAST:
        return {"sky": _surrounding(mi, overcast_sky())}
    sky, irradiance = _clear_sky(condition)
    sun = {
        "type": "directional",
        "direction": [-value for value in SUNS[condition].direction],
        "irradiance": {"type": "rgb", "value": list(irradiance)},
    }
    return {"sky": _surrounding(mi, sky), "sun": sun}


def _surrounding(mi: Any, sky: Sky) -> dict[str, Any]:
    upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
    return {"type": "envmap", "bitmap": mi.Bitmap(sky), "to_world": upright}


@lru_cache
def _clear_sky(condition: str) -> tuple[Sky, tuple[float, ...]]:
    """Mitsuba's sun and sky, the sky as a picture: from it noise is half as strong.

    The second value is the sun's irradiance of a surface that faces it.
    """
    with open_mitsuba() as mi:
        sun = SUNS[condition]
        emitter = {
            "type": "sunsky",
            "sun_direction": list(sun.direction),
            "turbidity": sun.turbidity,
        }
        both, alone = {"sky": emitter}, {"sky": {**emitter, "sun_scale": 0.0}}
        floor = {"ground": ground(mi)}
        flat = white_paper(mi, both | floor) - white_paper(mi, alone | floor)
        sky = mi.load_dict(alone["sky"])
        rows, columns = SKY_SIZE
        picture = np.zeros((rows, columns, 3), np.float32)
        spot = mi.SurfaceInteraction3f()
        for row, column in np.ndindex(rows // 2, columns):
            turn = (column + 0.5) / columns * 2 * math.pi  # from straight ahead to the right
            up = float(ELEVATIONS[row])
            way = (math.sin(turn) * math.cos(up), math.cos(turn) * math.cos(up), math.sin(up))
            spot.wi = [-value for value in way]
            picture[row, column] = sky.eval(spot)
        irradiance = flat * math.pi / sun.direction[2]
        return with_houses(picture, sun, irradiance), tuple(irradiance.tolist())


def headlights(mi: Any, distance: float) -> dict[str, Any]:
    """Two lamps that light a surface at the model's distance with 1, were it turned to them."""
    lamps = {}
    for name, x in (("left", -0.6), ("right", 0.6)):
        look = mi.ScalarTransform4f().look_at(
            origin=[x, -distance, 0.65], target=[x, 0, 0.65], up=[0, 0, 1]
        )
        lamps[name] = {
            "type": "spot",
            "to_world": look,
            "intensity": math.pi * distance**2 / 2,
            "cutoff_angle": 35,
            "beam_width": 20,
        }
    return lamps


def white_paper(mi: Any, day: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Radiance of white paper flat on the ground, per channel."""
    sensor = {
        "type": "orthographic",
        "to_world": mi.ScalarTransform4f().look_at(
            origin=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0]
        ),
        "film": {"type": "hdrfilm", "width": 32, "height": 32, "rfilter": {"type": "box"}},
    }
    integrator = {"type": "path", "block_size": BLOCK, "max_depth": 3}
    scene = mi.load_dict({"type": "scene", "integrator": integrator, "sensor": sensor, **day})
    image = np.asarray(mi.render(scene, spp=64, seed=0), np.float32)[..., :3]
    white: npt.NDArray[np.float32] = image.mean(axis=(0, 1)) / np.float32(ALBEDO)
    return white


def _bsdf(mi: Any, material: Material) -> dict[str, Any]:
    pixels = np.array(material.texture[::-1], order="C")  # a copy: it refuses read-only arrays
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(pixels)}
    surface: dict[str, Any]
    if material.gloss == "matte":
        surface = {"type": "diffuse", "reflectance": texture}
    elif material.gloss == "metal":
        surface = {
            "type": "principled",
            "base_color": texture,
            "metallic": 0.7,
            "roughness": material.roughness,
        }
    elif material.gloss == "paint":
        surface = {
            "type": "principled",
            "base_color": texture,
            "roughness": 0.45,
            "clearcoat": 0.9,
            "clearcoat_gloss": 0.92,
            "specular": 0.5,
        }
    else:
        surface = {
            "type": "roughplastic",
            "diffuse_reflectance": texture,
            "alpha": material.roughness,
        }
    return {"type": "twosided", "bsdf": surface}


def lit_mesh(mi: Any, mesh: Mesh, material: Material) -> Any:
    """A part that shines of light that falls on it."""
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict(_bsdf(mi, material))
    return _filled(mi, mesh, properties)


def shining_mesh(mi: Any, mesh: Mesh, emission: npt.NDArray[np.float32] | None) -> Any:
    """A part that is black but for what it emits, a texture ``[H, W, 3]``."""
    properties = mi.Properties()
    properties["mesh_bsdf"] = mi.load_dict(
        {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}}
    )
    if emission is not None:
        texture = {"type": "bitmap", "bitmap": mi.Bitmap(emission), "raw": True}
        properties["mesh_emitter"] = mi.load_dict({"type": "area", "radiance": texture})
    return _filled(mi, mesh, properties)


def _filled(mi: Any, mesh: Mesh, properties: Any) -> Any:
    positions, normals, uv = mesh.corners()
    count = len(positions)
    made = mi.Mesh(
        "part",
        vertex_count=count,
        face_count=count // 3,
        props=properties,
        has_vertex_normals=True,
        has_vertex_texcoords=True,
    )
    values = mi.traverse(made)
    values["vertex_positions"] = positions.astype(np.float32).ravel()
    values["vertex_normals"] = normals.astype(np.float32).ravel()
    values["vertex_texcoords"] = uv.astype(np.float32).ravel()
    values["faces"] = np.arange(count, dtype=np.uint32)
    values.update()
    return made
