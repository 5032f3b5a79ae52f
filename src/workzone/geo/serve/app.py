"""The addresses of a served map, on the application that every service has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from workzone.geo.serve.asked import PARAMETERS, TILE_PARAMETERS
from workzone.geo.serve.config import MapServeConfig
from workzone.geo.serve.service import MapService
from workzone.geo.store import open_store
from workzone.serve import schema
from workzone.serve.app import answered, build_app, guarded
from workzone.serve.server import run, server_of


def serve_map(config: MapServeConfig) -> None:
    """Serve a map until SIGTERM or Ctrl-C, and return once what was accepted is answered.

    Raises:
        UsageError: the tokens cannot be read, or the address cannot be listened at.
        StoreError: the map cannot be read at the start.
    """
    service = MapService(config)
    with open_store(config.store, create=False):
        pass  # what is no map is told now
    run(server_of(create_map_app(service), service))


def create_map_app(service: MapService) -> FastAPI:
    """The application of a map."""
    summary = "Road work on a map: where, since when, still there?"
    return build_app(service, [_router(service)], summary=summary)


def _router(service: MapService) -> APIRouter:
    router = guarded(service)

    async def answer(request: Request, make: Callable[[Request], Response]) -> Response:
        return await answered(request, service, partial(service.in_thread, make=make))

    @router.get(
        "/",
        response_class=Response,
        tags=["map"],
        summary="The map as a page",
        responses={**_content("text/html"), **schema.problems(401, 503)},
    )
    async def page(request: Request) -> Response:
        return await answer(request, service.page)

    @router.get(
        "/v1/events",
        response_class=Response,
        tags=["map"],
        summary="Events by place, time and state, as GeoJSON",
        openapi_extra={"parameters": PARAMETERS},
        responses={
            **_content("application/geo+json"),
            **schema.problems(401, 414, 422, 503),
        },
    )
    async def events(request: Request) -> Response:
        return await answer(request, service.events)

    @router.get(
        "/v1/tiles/{zoom}/{x}/{y}.mvt",
        response_class=Response,
        tags=["map"],
        summary="Events as vector tiles",
        openapi_extra={"parameters": [*_TILE, *TILE_PARAMETERS]},
        responses={
            **_content("application/vnd.mapbox-vector-tile"),
            **schema.problems(401, 414, 422, 503),
        },
    )
    async def tile(request: Request) -> Response:
        return await answer(request, service.tile)

    @router.get(
        "/v1/wzdx",
        response_class=Response,
        tags=["map"],
        summary="The map as a WZDx 4.2 feed",
        responses={**_content("application/json"), **schema.problems(401, 404, 503)},
    )
    async def feed(request: Request) -> Response:
        return await answer(request, service.feed)

    return router


_TILE = [
    {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
    for name in ("zoom", "x", "y")
]


def _content(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "With an ETag.", "content": {media_type: {}}},
        304: {"description": "The client has it, says its If-None-Match."},
    }
