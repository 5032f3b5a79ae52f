"""How well events follow zones that come and go, by how often streets are passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.event import Event
from workzone.geo.events import moment
from workzone.geo.fleet import Detector, Fleet
from workzone.geo.judge import Stretch, Tally, pairs
from workzone.geo.network import lines_through
from workzone.geo.store import open_store
from workzone.geo.streets import DAY, Kind, Streets, Zone, make_streets, make_zones
from workzone.geo.update import update
from workzone.run.tables import TIME, write_table

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
ZONES = 8
_FRAME = {
    "id": "string",
    "group": "string",
    "time": TIME,
    "longitude": "float64",
    "latitude": "float64",
    "smoothed": "float64",
}


@dataclass(frozen=True, slots=True)
class World:
    """Made streets with zones, and the drives of each day."""

    streets: Streets
    zones: Sequence[Zone]
    days: Sequence[Sequence[Drive]]

    def stretches(self, time: float) -> list[Stretch]:
        """The zones that are there at a time."""
        there = [zone for zone in self.zones if zone.start <= time < zone.stop]
        return [Stretch.of(self.streets.places(zone)) for zone in there]


def make_world(
    kind: Kind, *, passes: float, days: int, seed: int, detector: Detector | None = None
) -> World:
    """Streets, zones and drives; all of them follow from the arguments.

    Args:
        kind: of the network.
        passes: of each street in each direction, a day, on average.
        days: how many.
        seed: of streets and zones, and of the cars.
        detector: its errors, the measured ones if None.
    """
    streets = make_streets(kind, seed)
    zones = make_zones(streets, days=days, count=ZONES, start=START, seed=seed)
    fleet = Fleet(streets, zones, detector or Detector(), seed=seed)
    return World(streets, zones, [fleet.day(START + day * DAY, passes) for day in range(days)])


def write_frames(world: World, path: Path) -> int:
    """Write the frames of all drives as a table that `workzone map update` reads.

    Args:
        world: see `make_world`.
        path: ``.parquet``, ``.csv`` or ``.jsonl``.

    Returns:
        How many frames.

    Raises:
        UsageError: another suffix.
        WorkzoneError: it cannot be written.
    """
    drives = [drive for day in world.days for drive in day]
    rows = (
        {
            "id": name,
            "group": drive.id,
            "time": moment(drive.time[row]),
            "longitude": float(drive.longitude[row]),
            "latitude": float(drive.latitude[row]),
            "smoothed": float(drive.probability[row]),
        }
        for drive in drives
        for row, name in enumerate(drive.ids)
    )
    write_table(rows, _FRAME, path)
    return sum(len(drive.ids) for drive in drives)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a world on the map; `figures_of` makes one's or several's figures of it."""

    daily: Tally  # of events that are present at the ends of days
    found: int  # events that ever were present
    true: int  # zones
    matched: int
    present: Sequence[float]  # days from the begin of a zone until its event is present
    gone: Sequence[float]  # days from its end until it is gone
    detections: int


def follow(world: World, config: MapConfig | None = None, *, roads: bool = True) -> Outcome:
    """Update a map day by day, with the streets given or not, and hold it against the zones."""
    daily = Tally()
    network = lines_through(world.streets.middles()) if roads else []
    with open_store(":memory:", config=config) as store:
        for number, drives in enumerate(world.days):
            update(store, drives, network=network)
            present = [event for event in store.events() if event.state == "present"]
            now = START + (number + 1) * DAY
            daily.add([Stretch.of(event.line) for event in present], world.stretches(now))
        events = [event for event in store.events() if _time_of(event, "present") is not None]
    matched = list(_matched(world, events))
    last = START + len(world.days) * DAY
    presents = [(_time_of(event, "present") or last, zone) for event, zone in matched]
    gones = [(_time_of(event, "gone"), zone) for event, zone in matched if zone.stop < last]
    return Outcome(
        daily=daily,
        found=len(events),
        true=len(world.zones),
        matched=len(matched),
        present=[max(0.0, time - zone.start) / DAY for time, zone in presents],
        gone=[max(0.0, (time or last) - zone.stop) / DAY for time, zone in gones],
        detections=sum(len(drive.ids) for drives in world.days for drive in drives),
    )


def _matched(world: World, events: Sequence[Event]) -> Iterator[tuple[Event, Zone]]:
    """Events and zones that belong together in place and time."""
    stretches = [Stretch.of(event.line) for event in events]
    true = [Stretch.of(world.streets.places(zone)) for zone in world.zones]
    left = list(range(len(events)))
    for number, zone in enumerate(world.zones):  # zones are on different ways
        near = [n for n in left if pairs([stretches[n]], [true[number]])]
        times = {n: events[n].first_seen.timestamp() for n in near}
        inside = [n for n in near if times[n] < zone.stop and _end_of(events[n]) > zone.start]
        if inside:
            best = min(inside, key=lambda n: (times[n], events[n].id))
            left.remove(best)
            yield events[best], zone


def _end_of(event: Event) -> float:
    return float("inf") if event.gone_since is None else event.gone_since.timestamp()


def _time_of(event: Event, what: str) -> float | None:
    """When the event first became that, seconds since 1970."""
    times = [change.time.timestamp() for change in event.history if change.what == what]
    return min(times, default=None)


def figures_of(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Figures of worlds together: shares, metres, and days."""
    daily = sum((one.daily for one in outcomes), Tally())
    found, true = sum(o.found for o in outcomes), sum(o.true for o in outcomes)
    matched = sum(o.matched for o in outcomes)
    present = [days for one in outcomes for days in one.present]
    gone = [days for one in outcomes for days in one.gone]
    return daily.figures() | {
        "event_precision": matched / found if found else None,
        "event_recall": matched / true if true else None,
        "days_to_present": median(present) if present else None,
        "days_to_gone": median(gone) if gone else None,
    }
