"""What a served map answers: its page, its events, and its feed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from math import cos, radians
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

import workzone
from workzone.data.places import METRES_PER_DEGREE
from workzone.errors import StoreError
from workzone.geo.database import Box
from workzone.geo.event import Event
from workzone.geo.given_roads import given_roads
from workzone.geo.out.geojson import to_geojson
from workzone.geo.out.mvt import to_mvt
from workzone.geo.out.wzdx import to_wzdx
from workzone.geo.query import EventQuery
from workzone.geo.rounding import rounded
from workzone.geo.serve.answers import Body, Kept, Version, matches_any, not_modified
from workzone.geo.serve.asked import Asked, asked_of, asked_of_tile, next_link
from workzone.geo.serve.config import MapServeConfig
from workzone.geo.serve.room import Answer, Room, settle
from workzone.geo.show import make_page
from workzone.geo.store import Store, open_store
from workzone.serve.base import BaseService
from workzone.serve.metrics import Metrics
from workzone.serve.problems import Problem

log = logging.getLogger("workzone.serve")

_GRID_STEPS = 3  # by which a rounded event may lie beside where it is, and more
_INACCURACY = 3.0  # metres: more than by which a store's index of places errs


class MapService(BaseService):
    """A map; each answer is of what its store holds when it is asked."""

    config: MapServeConfig

    def __init__(self, config: MapServeConfig) -> None:
        """Start nothing yet.

        Raises:
            UsageError: the tokens cannot be read.
        """
        super().__init__(config, Metrics())
        self._page, self._feed = Kept(), Kept()
        self._waiting: set[Answer] = set()
        self._rooms: defaultdict[Callable[[Request], Response], Room] = defaultdict(Room)

    async def in_thread(self, request: Request, make: Callable[[Request], Response]) -> Response:
        """What a function of a request gives, in a thread, when there is room for one.

        Raises:
            ClientDisconnect: nobody waits for it any more; it was not begun, or is not sent.
            Problem: what the function raises; stopped before it was done.
        """
        loop = asyncio.get_running_loop()
        future: Answer = loop.create_future()
        room = self._rooms[make]
        self._waiting.add(future)
        watch = loop.create_task(_leave_with(request, future))
        room.put(future, partial(make, request))
        try:
            return await future
        finally:
            self._waiting.discard(future)
            room.drop(future)
            watch.cancel()

    def refuse_rest(self) -> None:
        """Say of requests without an answer that there will be none; in the event loop."""
        for future in self._waiting:
            detail = "the service stopped before this was answered: ask again"
            settle(future, None, Problem("draining", detail))

    def admit(self) -> None:
        """Refuse one more than so many at a time.

        Raises:
            Problem: draining, or overloaded.
        """
        super().admit()
        most = self.config.limits.queue
        if self.accepted >= most:
            detail = f"{most} requests are at work: ask again after Retry-After seconds"
            raise Problem("overloaded", detail, headers={"Retry-After": "1"}, limit=most)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests are taken now; not where the store cannot be read."""
        try:
            with self._opened():
                return super().readiness()
        except Problem:
            return False, {"status": "not-ready"}

    def page(self, request: Request) -> Response:
        """The map as a page.

        Raises:
            Problem: the store cannot be read.
        """

        def make(store: Store) -> Body:
            page = make_page(
                map(self._as_served, store.events()),
                newest=store.newest(),
                streets=given_roads(store.lines()).lines,
                tiles=self.config.tiles,
                attribution=self.config.attribution,
            )
            policy = f"{page.policy}; frame-ancestors 'none'"
            html = "text/html; charset=utf-8"
            return Body.of(page.text.encode(), html, Content_Security_Policy=policy)

        return self._answer(request, "page", make, self._page)

    def feed(self, request: Request) -> Response:
        """The map as a WZDx feed, as of its newest frame.

        Raises:
            Problem: the store cannot be read, or nobody publishes.
        """
        publisher = self.config.publisher
        if publisher is None:
            fix = "this map has no feed: start `workzone map serve` with --publisher"
            raise Problem("not-found", fix)

        def make(store: Store) -> Body:
            feed = to_wzdx(
                map(self._as_served, store.events()),
                publisher,
                published=store.newest() or store.published() or datetime.now(UTC),
                states=self.config.states,
            )
            return Body.of(_json(feed), "application/json")

        return self._answer(request, "feed", make, self._feed)

    def events(self, request: Request) -> Response:
        """Events as GeoJSON, by what the address asks for.

        Raises:
            Problem: the store cannot be read, or a parameter cannot be used.
        """
        _check_length(request, self.config.limits.query_bytes)
        asked = asked_of(request.query_params)

        def make(store: Store) -> Body:
            found = list(islice(self._found(store, asked), asked.limit + 1))
            shown = found[: asked.limit]
            more = len(found) > asked.limit
            href = next_link(request.query_params, shown[-1].id) if more else ""
            links = [{"rel": "next", "href": href, "type": "application/geo+json"}] if more else []
            answer = {**to_geojson(shown), "numberReturned": len(shown), "links": links}
            return Body.of(_json(answer), "application/geo+json")

        return self._answer(request, asked, make, Kept())

    def tile(self, request: Request) -> Response:
        """Events as a vector tile.

        Raises:
            Problem: the store cannot be read, there is no such tile, or it has too many events.
        """
        _check_length(request, self.config.limits.query_bytes)
        asked, tile = asked_of_tile(request.path_params, request.query_params)

        def make(store: Store) -> Body:
            crowded = self._surely_more(store, asked)
            found = [] if crowded else list(islice(self._found(store, asked), asked.limit + 1))
            if crowded or len(found) > asked.limit:
                fix = f"more than {asked.limit:,} events lie in it: begin with a higher zoom"
                raise Problem("option", f"tile {'/'.join(map(str, tile))}: {fix}")
            return Body.of(to_mvt(found, *tile), "application/vnd.mapbox-vector-tile")

        return self._answer(request, (asked, tile), make, Kept())

    def _answer(
        self, request: Request, what: object, make: Callable[[Store], Body], kept: Kept
    ) -> Response:
        with self._opened() as store:
            config = self.config
            version = Version.of(
                store.published(),
                what,
                workzone.__version__,
                (config.publisher, config.states),
                (config.tiles, config.attribution, config.metres),
            )
            if version.is_known(request.headers):
                return not_modified(version)
            body = kept.body(version, lambda: make(store))
        if matches_any(request.headers):
            return not_modified(version)
        return body.response(version, request.headers)

    def _found(self, store: Store, asked: Asked) -> Iterator[Event]:
        """Events as they are served, in order of ids.

        Where places are rounded, who asks for smaller and smaller boxes learns no more of them.
        """
        reach = _GRID_STEPS * (self.config.metres or 0)
        query = _query(asked, [_grown(box, reach) for box in asked.boxes])
        while True:
            several = store.events(query)
            served = map(self._as_served, several)
            yield from (event for event in served if asked.covers(event.line))
            if len(several) < query.limit:
                return
            query = replace(query, after=several[-1].id)

    def _as_served(self, event: Event) -> Event:
        return event if self.config.metres is None else rounded(event, self.config.metres)

    def _surely_more(self, store: Store, asked: Asked) -> bool:
        """Whether more events than are asked for lie well within the boxes, without reading any.

        Where it is not sure, it may be so still.
        """
        reach = _INACCURACY + _GRID_STEPS * (self.config.metres or 0)
        smaller = [_grown(box, -reach) for box in asked.boxes]
        boxes = [box for box in smaller if box[0] <= box[2] and box[1] <= box[3]]
        return bool(boxes) and store.count(_query(asked, boxes)) > asked.limit

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Store]:
        """The store.

        Raises:
            Problem: it cannot be read.
        """
        try:
            with open_store(self.config.store, create=False) as store:
                yield store
        except StoreError as error:
            log.error("the map cannot be read: %s", error)
            fix = (
                "the map cannot be read now: ask again after Retry-After seconds; the log says why"
            )
            raise Problem("map-unavailable", fix, headers={"Retry-After": "5"}) from None


async def _leave_with(request: Request, future: Answer) -> None:
    """Wait for no answer once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass  # of a body, which nothing asks for
    settle(future, None, ClientDisconnect())


def _query(asked: Asked, boxes: Iterable[Box]) -> EventQuery:
    return EventQuery(
        limit=asked.limit + 1,
        after=asked.after,
        boxes=tuple(boxes),
        states=asked.states,
        begin=asked.begin,
        end=asked.end,
    )


def _grown(box: Box, metres: float) -> Box:
    """A box with all around it that is so near; below 0, without what is so near its border."""
    west, south, east, north = box
    high = metres / METRES_PER_DEGREE
    furthest = min(90, max(abs(south), abs(north)) + abs(high))
    wide = high / max(cos(radians(furthest)), 1e-3)
    return west - wide, south - high, east + wide, north + high


def _check_length(request: Request, most: int) -> None:
    length = len(request.scope["query_string"])
    if length > most:
        raise Problem(
            "query-too-long",
            f"the query has {length:,} bytes, at most {most:,} are taken",
            limit=most,
        )


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
