"""Evidence along a line, pass by pass, and the zones that follow from it.

A cell of a line has road work or not, as a Markov chain of two states in continuous time: a pass
that sees some adds log-odds, one that sees none takes some, and between passes what is known fades
to the prior. The state after a set of passes is a fold over them in order of time, so it follows
from the set; passes that arrive late are folded in where they belong.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

import numpy as np

from workzone.decide.log_odds import expit, logit
from workzone.decide.threshold import HALF
from workzone.geo.config import MapConfig
from workzone.geo.ground import Flags, Floats
from workzone.geo.passes import Key
from workzone.geo.profiles import Profile
from workzone.geo.roads import CELL
from workzone.geo.tracks import Track, born, parted

Run = tuple[int, int]  # first and last cell


class LineState:
    """What is known of a line: log-odds of each cell ``[n]`` with their time, and its zones."""

    def __init__(self, line: str, cells: int, config: MapConfig) -> None:
        self.line, self.config = line, config
        self.log_odds: Floats = np.full(cells, float(logit(config.prior)))
        self.time: Floats = np.zeros(cells)  # seconds since 1970
        self.latest: tuple[float, Key] | None = None  # the last profile that was folded in
        self.tracks: list[Track] = []  # those that are not gone, in order along the line
        self.ended: list[Track] = []

    def fold(self, profiles: Iterable[Profile]) -> None:
        """Take profiles into account; they are in order, and later than all before."""
        for profile in profiles:
            self._pass(profile)
            self.latest = order_of(profile)

    def _pass(self, profile: Profile) -> None:
        config, count = self.config, len(profile.probability)
        cells = slice(profile.first, profile.first + count)
        for track in self.tracks:
            track.expire(profile.time, config)
        before = self.log_odds[cells]
        if not profile.sightings and not self.tracks and before.max() < _logit(config.suspected):
            self._add(profile, cells)  # nothing is there, and nothing was seen
            self._sweep()
            return
        self._add(profile, cells)
        likely = config.aged(expit(self.log_odds), profile.time - self.time)
        self._follow(profile, likely)
        self._sweep()

    def _add(self, profile: Profile, cells: slice) -> None:
        config = self.config
        aged = config.aged(expit(self.log_odds[cells]), profile.time - self.time[cells])
        value = profile.probability
        added = value * config.seen + (1 - value) * config.missed
        self.log_odds[cells] = np.clip(logit(aged) + added, -config.certain, config.certain)
        self.time[cells] = profile.time

    def _follow(self, profile: Profile, likely: Floats) -> None:
        """Match what is likely now with the zones that were known."""
        config = self.config
        low, high = profile.first, profile.first + len(profile.probability) - 1
        strong = runs_of(likely >= HALF, config.gap)
        weak = [
            run
            for run in runs_of(likely >= config.suspected, config.gap)
            if not any(_meet(run, other) for other in strong)
        ]
        runs = [run for run in (*strong, *weak) if _meet(run, (low, high))]
        live = [t for t in self.tracks if t.state != "gone"]
        passed = [t for t in live if _meet((t.low, t.high), (low, high))]
        taken: set[int] = set()
        for track in passed:
            own = [n for n, run in enumerate(runs) if _meet(run, (track.low, track.high))]
            free = [n for n in own if n not in taken]
            if own and not free:  # an earlier one has grown into it
                self._merge(track, runs[own[0]], profile)
                continue
            taken.update(own)
            self._extend(track, [runs[n] for n in free], profile, likely)
        for number, run in enumerate(runs):
            if number not in taken:
                self._begin(run, profile, likely)
        for track in passed:
            if track.state != "gone":
                belief = float(likely[track.low : track.high + 1].max())
                track.passed(profile, belief, config)
                track.settle(config)

    def _extend(self, track: Track, runs: Sequence[Run], profile: Profile, likely: Floats) -> None:
        """Give a track the largest of its likely runs, and make zones of the others."""
        likely_runs = [run for run in runs if likely[run[0] : run[1] + 1].max() >= HALF]
        if likely_runs:
            ranked = sorted(likely_runs, key=lambda run: (run[0] - run[1], run[0]))
            track.low, track.high = ranked[0]
            if len(ranked) > 1:
                track.begins, track.ends = [], []
            for run in ranked[1:]:
                self._begin(run, profile, likely, parent=track)
        elif runs:  # a suspicion
            track.low, track.high = min(run[0] for run in runs), max(run[1] for run in runs)

    def _merge(self, track: Track, run: Run, profile: Profile) -> None:
        """Two zones in one run are one: the one seen first."""
        others = (t for t in self.tracks if t is not track and t.state != "gone")
        other = next((t for t in others if _meet((t.low, t.high), run)), None)
        if other is None:
            return
        first, last = sorted((track, other), key=lambda t: t.low)
        kept, gone = sorted((track, other), key=lambda t: (t.first_seen, t.id))
        kept.low, kept.high = run
        kept.begins, kept.ends = list(first.begins), list(last.ends)
        kept.add_images(gone.images)
        kept.add_classes((name, one) for name, some in gone.shown_by.items() for one in some)
        if gone.confirmed:
            kept.history.append((profile.time, "merged", gone.id))
        gone.end(profile.time, profile.time, kept.id)

    def _begin(
        self, run: Run, profile: Profile, likely: Floats, parent: Track | None = None
    ) -> None:
        seen = [s for s in profile.sightings if _meet((s.low, s.high), run)]
        if not seen and parent is None:
            return  # what is left of older sightings, beside a zone or of one that is gone
        if parent is None:
            track = born(self.line, seen[0], *run, profile)
        else:
            track = parted(parent, *run, profile)
        track.passed(profile, float(likely[run[0] : run[1] + 1].max()), self.config)
        track.settle(self.config)
        self.tracks.append(track)

    def _sweep(self) -> None:
        self.ended += [t for t in self.tracks if t.state == "gone" and t.confirmed]
        self.tracks = sorted((t for t in self.tracks if t.state != "gone"), key=lambda t: t.low)

    def packed(self) -> bytes:
        """All of it, the ended zones too, as bytes that `unpacked` reads."""
        tracks = [dataclasses.asdict(track) for track in self.tracks]
        ended = [dataclasses.asdict(track) for track in self.ended]
        head = json.dumps({"latest": self.latest, "tracks": tracks, "ended": ended}).encode()
        cells = np.stack([self.log_odds, self.time]).astype("<f8").tobytes()
        return len(head).to_bytes(4, "little") + head + cells

    @staticmethod
    def unpacked(line: str, body: bytes, config: MapConfig) -> LineState:
        """What `packed` gave."""
        end = 4 + int.from_bytes(body[:4], "little")
        head = json.loads(body[4:end])
        cells = np.frombuffer(body[end:], "<f8").reshape(2, -1)
        state = LineState(line, cells.shape[1], config)
        state.log_odds, state.time = cells[0].copy(), cells[1].copy()
        if head["latest"] is not None:
            time, (start, drive, number) = head["latest"]
            state.latest = (time, (start, drive, number))
        state.tracks = [Track.from_json(one) for one in head["tracks"]]
        state.ended = [Track.from_json(one) for one in head["ended"]]
        return state


def order_of(profile: Profile) -> tuple[float, Key]:
    """By which profiles are folded."""
    return profile.time, profile.key


def runs_of(likely: Flags, gap: float) -> list[Run]:
    """Runs of cells, those at most ``gap`` metres apart joined."""
    cells = np.flatnonzero(likely)
    if not len(cells):
        return []
    cuts = np.flatnonzero(np.diff(cells) > gap / CELL + 1)
    firsts, lasts = np.append(cells[0], cells[cuts + 1]), np.append(cells[cuts], cells[-1])
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _meet(one: Run, other: Run) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _logit(probability: float) -> float:
    return float(logit(probability))
