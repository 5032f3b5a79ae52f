"""Addresses of PostgreSQL databases: as libpq reads them, for asyncpg, and to be shown."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlencode

_PARTS = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^/@:]*)(?::(?P<password>[^/@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_VARIABLES = {  # that asyncpg does not read: https://www.postgresql.org/docs/current/libpq-envars.html
    "options": "PGOPTIONS",
    "service": "PGSERVICE",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
_SETTINGS = {"timezone": "UTC", "datestyle": "ISO"}  # of each session
_TIMEOUT = "10"  # seconds for all hosts together; libpq counts each alone


def connection_arguments(address: str) -> dict[str, Any]:
    """What ``asyncpg.connect`` takes for an address that libpq would read.

    asyncpg splits addresses as a browser does: a ``#`` in a password ends it, a ``+`` is a space,
    and what stands before the ``?`` wins. Source: https://www.postgresql.org/docs/current/
    libpq-connect.html, "Connection URIs".

    Raises:
        ValueError: it is no such address.
    """
    match = _PARTS.fullmatch(address)
    if match is None:
        raise ValueError("no address of PostgreSQL")
    parts = {name: unquote(match[name] or "") for name in ("user", "password", "dbname")}
    pairs = (pair.split("=", 1) for pair in (match["query"] or "").split("&") if pair)
    parts |= {unquote(name): unquote(value) for name, value in pairs}
    for name, variable in _VARIABLES.items():
        parts.setdefault(name, os.environ.get(variable, ""))
    timeout = float(parts.pop("connect_timeout") or _TIMEOUT)
    hosts = "" if parts.get("host") else match["hosts"]
    wanted = {name: value for name, value in parts.items() if value} | _SETTINGS
    return {"dsn": f"postgresql://{hosts}?{urlencode(wanted)}", "timeout": timeout or None}


def without_password(address: str) -> str:
    """An address as it may be shown."""
    shown = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", address)
    return re.sub(r"(?<=://)([^/?@:]*):.*@", r"\1:***@", shown, flags=re.DOTALL)
