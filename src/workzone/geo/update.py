"""Drives into a store, and events out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workzone.errors import UsageError
from workzone.geo.detections import Drive
from workzone.geo.events import event_of
from workzone.geo.model import LineState, order_of
from workzone.geo.passes import passes_of
from workzone.geo.profiles import LateError, Profile, cells_of, profiles_of
from workzone.geo.roads import Line, Roads
from workzone.geo.store import Kind, Store


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did."""

    added: int  # drives
    same: int  # drives that were there already
    replaced: int  # drives that were there with other frames
    too_old: int  # drives that ended before what is still kept, or whose frames were dropped
    dropped: int  # drives whose frames were dropped for their age


def update(
    store: Store,
    drives: Sequence[Drive],
    *,
    network: Iterable[Line] = (),
    keep_days: float | None = None,
) -> Update:
    """Add drives to a store, and bring its events up to date: all of it, or nothing.

    The events follow from the set of drives in the store (their last frames, where one came with
    others): in whatever order they arrive, at once or one by one, once or twice. Of a drive whose
    frames were dropped, what it said stays, and other frames come too late.

    Args:
        store: see `workzone.geo.store.open_store`.
        drives: of which each is whole; one that is there already changes nothing.
        network: roads to match to; given to a new store, which keeps them.
        keep_days: drop frames of drives that ended longer than that before the last frame, and
            events that were gone by then. What the others know from them stays.

    Raises:
        StoreError: see `Store.transaction`.
        UsageError: another network than the store has, or one for a store with drives.
    """
    with store.transaction():
        _take_network(store, list(network))
        known, dropped = store.digests(), store.dropped()
        horizon = float(store.meta("horizon") or "-inf")
        new, same, replaced, too_old = [], 0, 0, 0
        for drive, digest in _distinct(drives):
            if known.get(drive.id) == digest:
                same += 1
            elif drive.id in dropped or drive.time[-1] < horizon:
                too_old += 1
            else:
                replaced += drive.id in known
                new.append((drive, digest))
        store.put_drives(new)
        if replaced or not _add(store, [drive for drive, _ in new]):
            _rebuild(store)
        count = 0 if keep_days is None else _drop(store, keep_days * 86400)
        if new or count:
            _publish(store)
    return Update(len(new) - replaced, same, replaced, too_old, count)


def _distinct(drives: Sequence[Drive]) -> Iterable[tuple[Drive, str]]:
    """Drives of which each is there once, with the digests of their contents."""
    found: dict[str, tuple[Drive, str]] = {}
    for drive in drives:
        digest = drive.digest()
        other, first = found.setdefault(drive.id, (drive, digest))
        if digest != first:
            tables = f" ({other.source} and {drive.source})" if drive.source else ""
            raise UsageError(
                f"drive {drive.id!r} is there twice, with other frames{tables}: put all frames of "
                "a drive into one table"
            )
    return found.values()


def _take_network(store: Store, lines: Sequence[Line]) -> None:
    if not lines:
        return
    digest = hashlib.sha256(" ".join(line.id for line in lines).encode()).hexdigest()
    if store.meta("network") == digest:
        return
    if store.meta("network") is not None or store.digests():
        raise UsageError(
            f"{store.name} was made with {'other' if store.meta('network') else 'no'} roads: leave "
            "--roads out, or make a new store of its drives"
        )
    store.set_meta("network", digest)
    store.add_lines(lines)


def _add(store: Store, drives: Sequence[Drive]) -> bool:
    """Match drives and fold them in; False if one is too late for that."""
    roads = Roads(store.lines())
    before = len(roads.lines)
    try:
        profiles = profiles_of(roads, passes_of(drives), store.config)
    except LateError:
        return False
    store.add_lines(roads.lines[before:])
    store.add_profiles(profiles, roads.lines)
    new: dict[int, list[Profile]] = {}
    for profile in profiles:
        new.setdefault(profile.line, []).append(profile)
    for number, some in sorted(new.items()):
        line = roads.lines[number]
        state = _state(store, line, "now")
        ordered = sorted(some, key=order_of)
        if state.latest is not None and order_of(ordered[0]) < state.latest:
            state, ordered = _state(store, line, "base"), store.profiles(line.id)
        state.fold(ordered)
        store.put_state(line.id, "now", state.packed())
        store.touch(line.id)
    return True


def _rebuild(store: Store) -> None:
    store.clear()
    _add(store, store.drives())


def _state(store: Store, line: Line, kind: Kind) -> LineState:
    body = store.state(line.id, kind)
    if body is None and kind == "now":
        body = store.state(line.id, "base")
    if body is None:
        return LineState(line.id, cells_of(line.length), store.config)
    return LineState.unpacked(line.id, body, store.config)


def _drop(store: Store, seconds: float) -> int:
    """Drop what is older than that, once it is part of what is known of its lines."""
    latest = store.latest()
    if latest is None:
        return 0
    horizon = latest - seconds
    names = store.drop_drives(horizon)
    if not names:
        return 0
    store.set_meta("horizon", repr(horizon))
    for line in store.lines():
        state = _state(store, line, "base")
        state.fold(store.profiles(line.id, names))
        state.ended.clear()  # they were gone by then
        if state.latest is not None:
            store.put_state(line.id, "base", state.packed())
            store.touch(line.id)
    store.settle_lines(horizon)
    _rebuild(store)
    return len(names)


def _publish(store: Store) -> None:
    """Write the events of lines that have changed, and of those where time alone changes them."""
    now = store.latest()
    if now is None:
        return
    for line in store.lines_to_publish():
        state = _state(store, line, "now")
        tracks = sorted([*state.ended, *state.tracks], key=lambda t: (t.first_seen, t.id))
        told = (event_of(track, line, now, store.config) for track in tracks)
        store.put_events(line.id, [event for event in told if event is not None])
    store.publish()
