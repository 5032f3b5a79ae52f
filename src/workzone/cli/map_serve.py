"""The map behind HTTP: map serve."""

from __future__ import annotations

from typing import Annotated

import typer

from workzone.cli.console import command, examples
from workzone.cli.map_options import (
    AttributionOption,
    Cc0Flag,
    ContactOption,
    RoundPlacesOption,
    StoreArgument,
    SuspectedFlag,
    TilesOption,
    states_of_feed,
)
from workzone.cli.serve_options import HostOption, OriginOption, PortOption, TokensOption

EXAMPLES_SERVE = examples(
    "workzone map serve zones.gpkg",
    'workzone map serve zones.gpkg --publisher "City of Example" --contact maps@example.org',
    "workzone map serve zones.gpkg --host 0.0.0.0 --port 8080 --tokens tokens.txt",
    "curl 'localhost:8080/v1/events?bbox=13.0,52.3,13.8,52.7&state=present&time=2026-06-01'",
)


@command
def serve(
    store: StoreArgument,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    *,
    tokens: TokensOption = None,
    origin: OriginOption = None,
    publisher: Annotated[
        str | None, typer.Option(help="Who publishes the WZDx feed; without it there is none.")
    ] = None,
    contact: ContactOption = None,
    cc0: Cc0Flag = False,
    suspected: SuspectedFlag = False,
    tiles: TilesOption = None,
    attribution: AttributionOption = None,
    round_positions: RoundPlacesOption = None,
) -> None:
    """Answer over HTTP with a map: its page, its events and its feed.

    / is the page of `workzone map show`, /v1/events GeoJSON by place, time and state,
    /v1/tiles/{zoom}/{x}/{y}.mvt the same as vector tiles, /v1/wzdx a WZDx 4.2 feed; /openapi.json
    describes them. What `workzone map update` does meanwhile is in
    the next answer. The log is JSON lines on standard error. SIGTERM ends it.
    """
    from workzone.errors import needing_serve

    with needing_serve("workzone map serve"):
        from workzone.geo.out.publisher import Publisher
        from workzone.geo.serve.app import serve_map
        from workzone.geo.serve.config import MapServeConfig

    of_feed = None
    if publisher is not None:
        of_feed = Publisher(name=publisher, contact_email=contact, cc0=cc0)
    config = MapServeConfig(
        store=store,
        host=host,
        port=port,
        tokens=tokens,
        origins=tuple(origin or ()),
        publisher=of_feed,
        states=states_of_feed(suspected),
        tiles=tiles,
        attribution=attribution,
        metres=round_positions,
    )
    serve_map(config)
