"""Options that commands of a map share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from workzone.geo.event import State

StoreArgument = Annotated[
    str, typer.Argument(help="A map that `workzone map update` made: a file, or an address.")
]
ContactOption = Annotated[
    str | None,
    typer.Option(help="E-mail address of those who answer for a WZDx feed."),
]
Cc0Flag = Annotated[
    bool,
    typer.Option("--cc0", help="Give a WZDx feed to the public domain; not to be taken back."),
]
SuspectedFlag = Annotated[
    bool, typer.Option("--suspected", help="Include what only one drive has seen.")
]
TilesOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Pictures of the ground, an address with {z}, {x} and {y}. The browser asks there "
        "for what is looked at, and for nothing anywhere without this option.",
    ),
]
AttributionOption = Annotated[
    str | None,
    typer.Option(help="Whom the map names for its tiles or roads, as their licence asks."),
]
RoundPlacesOption = Annotated[
    float | None,
    typer.Option(
        "--round-positions",
        metavar="METRES",
        help="Round places to a grid of so many metres.",
    ),
]


def states_of_feed(suspected: bool) -> tuple[State, ...]:
    """The states that are written, with ``--suspected`` or without."""
    from workzone.geo.out.fields import PUBLISHED

    return ("suspected", *PUBLISHED) if suspected else PUBLISHED
