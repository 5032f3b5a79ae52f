"""Which of the drawings of traffic signs mean road work: see docs/signs.md.

Names are those of Mapillary's sprites (``@rapideditor/mapillary_sprite_source``), without the
ending ``--g1.svg`` where all drawings of that name mean the same.
"""

from __future__ import annotations

import re

WORK = frozenset(
    {
        "warning--roadworks",
        "warning--roadworks-go-left-or-straight",
        "warning--roadworks-go-right-or-straight",
        "warning--construction-ahead",
        "warning--detour-ahead",
        "warning--detour-or-construction-ahead",
        "warning--flaggers-in-road",
        "complementary--detour",
        "complementary--bicycles-and-pedestrians-detour",
        "complementary--bicycles-or-pedestrians-detour",
        "regulatory--detour-left",
        "regulatory--detour-right",
    }
)
"""The figure says it: a digging man, a machine, a flagger, a detour."""

DIGGERS = "warning--roadworks"
"""How the names begin of those with a digging man or machine."""

TEMPORARY = frozenset(
    {
        "complementary--lane-control--g1",
        "complementary--lane-control--g2",
        "complementary--lane-control--g3",
        "complementary--two-way-traffic--g5",
        "warning--dead-end-go-left--g1",
        "warning--dead-end-go-right--g1",
        "warning--double-reverse-curve-left",
        "warning--double-reverse-curve-right",
        "warning--fresh-oil--g1",
        "warning--go-right--g1",
        "warning--ramp-closed--g1",
        "warning--road-closed--g3",
        "warning--single-reverse-curve--g1",
        "warning--slow--g1",
        "warning--soft-shoulder--g4",
        "warning--traffic-merges-right--g3",
        "warning--triple-curve-left--g1",
        "warning--triple-curve-right--g1",
        "warning--triple-reverse-curve-left--g1",
        "warning--triple-reverse-curve-right--g1",
        "warning--turn-right--g3",
        "warning--uneven-roads-ahead--g1",
    }
)
"""The colour says it: on an orange field, as the Americas and Oceania have it at road works."""

UNCLEAR = frozenset(
    {
        "complementary--end-of-road-works",
        "complementary--obstacle-delineator",
        "complementary--working-days",
        "information--end-of-road-works",
        "information--hazardous-goods-vehicles-lane--g1",
        "regulatory--road-closed",
        "regulatory--road-closed-to-vehicles",
        "regulatory--sidewalk-closed",
        "warning--closed-lane-in-triple-lanes",
        "warning--fresh-oil",
        "warning--go-left",
        "warning--go-right",
        "warning--lane-closed-in-dual-lanes-left",
        "warning--lane-closed-in-dual-lanes-right",
        "warning--loose-road-surface",
        "warning--ramp-closed",
        "warning--road-blocks",
        "warning--road-closed",
        "warning--slow",
        "warning--traffic-queues-likely--g5",
        "warning--trucks-crossing",
    }
)
"""At road works in one place and not in another, or after them: used for neither side."""

_NUMBER = re.compile(r"--g\d+$")


def meaning_of(name: str) -> int | None:
    """Of a drawing, by its name: 1 road work, 0 another sign, None unclear.

    Args:
        name: such as ``warning--roadworks--g1``.
    """
    kind = _NUMBER.sub("", name)
    for names, meaning in ((TEMPORARY, 1), (WORK, 1), (UNCLEAR, None)):
        if name in names or kind in names:
            return meaning
    return 0
