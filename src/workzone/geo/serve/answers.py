"""Answers that name their version, and are compressed where the client takes that."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from starlette.datastructures import Headers
from starlette.responses import Response

_SMALL = 1000  # bytes that are sent as they are
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Version:
    """Of what is answered at one address: another one where the answer may be another."""

    tag: str
    modified: datetime | None

    @classmethod
    def of(cls, modified: datetime | None, *parts: object) -> Version:
        """What all of these together make of it."""
        text = repr((modified, *parts))
        return cls(hashlib.sha256(text.encode()).hexdigest()[:32], modified)

    def headers(self) -> dict[str, str]:
        """Of its answer; the tag is weak (RFC 9110), as a compressed body has the same."""
        changed = self.modified
        modified = {} if changed is None else {"Last-Modified": format_datetime(changed, True)}
        return {
            "ETag": f'W/"{self.tag}"',
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            **modified,
        }

    def is_known(self, headers: Headers) -> bool:
        """Whether the client says in ``If-None-Match`` that it has it."""
        return self.tag in re.findall(r'"([^"]*)"', headers.get("if-none-match", ""))


@dataclass(frozen=True, slots=True)
class Body:
    """What is answered, as it is and compressed."""

    plain: bytes
    packed: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, plain: bytes, media_type: str, **headers: str) -> Body:
        """With its media type, and headers whose ``_`` stand for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        packed = gzip.compress(plain, _LEVEL, mtime=0) if len(plain) > _SMALL else b""
        return cls(plain, packed, {"Content-Type": media_type, **named})

    def response(self, version: Version, headers: Headers) -> Response:
        """To a client that sent such headers."""
        own = {**self.headers, **version.headers()}
        if self.packed and takes_gzip(headers):
            return Response(self.packed, headers={**own, "Content-Encoding": "gzip"})
        return Response(self.plain, headers=own)


class Kept:
    """The last version of a body that takes time to make; made once, whoever asks meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._body: Body | None = None

    def body(self, version: Version, make: Callable[[], Body]) -> Body:
        """That of a version."""
        with self._lock:
            if self._body is None or self._version != version:
                self._body, self._version = make(), version
            return self._body


def not_modified(version: Version) -> Response:
    """The client has it."""
    return Response(status_code=304, headers=version.headers())


def matches_any(headers: Headers) -> bool:
    """Whether ``If-None-Match`` is ``*``: what can be answered at all is not sent."""
    return headers.get("if-none-match", "").strip() == "*"


def takes_gzip(headers: Headers) -> bool:
    """Whether ``Accept-Encoding`` names it, with a weight above 0."""
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, *weights = part.replace(" ", "").split(";")
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(\.0*)?", weight) for weight in weights)
    return False
