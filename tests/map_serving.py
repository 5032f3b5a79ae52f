"""A map of made events, and a service in front of it, in a thread of the test's own process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving import Running, listening
from workzone.geo.event import Event
from workzone.geo.roads import NETWORK, make_line
from workzone.geo.serve.app import create_map_app
from workzone.geo.serve.config import MapServeConfig
from workzone.geo.serve.service import MapService
from workzone.geo.store import open_store
from workzone.serve.server import server_of


def write_store(path: Path, events: Sequence[Event]) -> Path:
    """A store with such events, on a road that was given and a way that a car drew."""
    way = np.linspace(13, 13.01, 3), np.linspace(52, 52.01, 3)
    with open_store(path) as store, store.transaction():
        if not store.lines():
            store.add_lines([make_line("road", NETWORK, *way, "High Street")])
            store.add_lines([make_line("drawn", (1.0, "car", 0), way[0] + 1.5, way[1], None)])
        store.put_events("road", events)
        store.publish()
    return path


@contextlib.contextmanager
def serving(store: Path, **settings: Any) -> Iterator[Running]:
    """The map behind HTTP; ``settings`` are those of `MapServeConfig`."""
    service = MapService(MapServeConfig(store=store, port=0, **settings))
    with listening(server_of(create_map_app(service), service)) as found:
        yield found
