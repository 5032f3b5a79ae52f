"""Who publishes a feed, and on what terms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from workzone.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """What a feed says of its publisher.

    Raises:
        UsageError: a name is empty, the country is no two letters, the contact is no e-mail
            address, or ``lasts`` is negative.
    """

    name: str  # of the organisation
    country: str | None = None  # ISO 3166, two letters; DATEX II needs it
    source: str = "workzone"  # id of the data source, the same in every feed
    contact_email: str | None = None  # of those who answer for the feed; WZDx has a place for it
    cc0: bool = False  # the feed is given to everybody; WZDx knows no other licence
    lasts: timedelta = timedelta(days=1)  # from publication to the end said of what is still there

    def __post_init__(self) -> None:
        if not (self.name.strip() and self.source.strip()):
            raise UsageError("a publisher needs a name, and its data source an id")
        if self.country is not None and not re.fullmatch(r"[A-Za-z]{2}", self.country):
            raise UsageError(f"country {self.country!r}: two letters are needed, such as DE")
        email = self.contact_email
        if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise UsageError(f"contact {email!r} is no e-mail address, such as maps@example.org")
        if self.lasts < timedelta(0):
            raise UsageError("what is still there cannot end before its publication")
