"""What checking a feed found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["fault", "remark"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one place of a feed."""

    where: str  # JSON path, or the path of an XML element
    what: str  # a sentence that goes on from the place: "is 'Point'; allowed: ..."
    event: str | None = None  # id of the event it is about
    level: Level = "fault"  # a remark breaks no rule


@dataclass(frozen=True, slots=True)
class Report:
    """A feed and all that was found in it, in the order of the file."""

    format: str  # such as "WZDx 4.2"
    events: int
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What breaks a rule; a feed without any is valid."""
        return tuple(one for one in self.findings if one.level == "fault")

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """What breaks none, and may still not be meant."""
        return tuple(one for one in self.findings if one.level == "remark")


def alike(findings: Iterable[Finding]) -> list[tuple[Finding, int]]:
    """Findings that say the same of different events as one, with how many they are."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        parts = one.where.replace("]", "[").split("[")
        place = "[".join("*" if part.isdecimal() else part for part in parts)
        groups.setdefault((place, one.what), []).append(one)
    return [(group[0], len(group)) for group in groups.values()]
