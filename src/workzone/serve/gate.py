"""What every request passes: its id, its clock, the headers of its answer, its line in the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("workzone.serve")

REQUEST_ID = "X-Request-ID"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of pages with scripts and styles of their own, and pictures that they made or were sent."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise itself."""

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Gate:
    """Wraps an application, which takes HEAD as GET; the answer's body is left out."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        send_seconds: float,
        on_answer: Callable[[Scope, int, float], None],
    ) -> None:
        """Wrap it.

        Args:
            app: what answers.
            send_seconds: a client that takes no data for so long is cut off.
            on_answer: called with the scope as routes left it, the status (499: the client left)
                and the seconds.
        """
        self._app, self._send_seconds, self._on_answer = app, send_seconds, on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.monotonic()
        asked = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = asked if _GOOD_ID.fullmatch(asked) else secrets.token_hex(8)
        # A client that expects "100 Continue" gets it, from uvicorn, when its body is asked for.
        expects = "expect" in Headers(scope=scope)
        told = scope["workzone"] = {"id": request_id, "begin": begin, "expects": expects}
        bare = scope["method"] == "HEAD"
        status = 499

        async def receive_on() -> Message:
            told["expects"] = False
            return await receive()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers[REQUEST_ID] = request_id
                if told["expects"]:  # what it sends next could be a body or a request
                    headers["Connection"] = "close"
            elif bare:
                message = {**message, "body": b""}
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        passed = {**scope, "method": "GET"} if bare else scope
        try:
            await self._app(passed, receive_on, send_on)
        except TimeoutError:  # of sending: the client does not read
            status = 499
        finally:
            seconds = time.monotonic() - begin
            self._on_answer(passed, status, seconds)
            self._log(scope, status, seconds)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        told = scope["workzone"]
        log.log(
            logging.DEBUG if told.get("quiet") else logging.INFO,
            "request",
            extra={
                "request_id": told["id"],
                "client": (scope.get("client") or ("", 0))[0],
                "caller": told.get("caller"),
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "code": told.get("code"),
                "bytes": told.get("bytes"),
                "milliseconds": round(1000 * seconds, 1),
            },
        )


_OF_RECORDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line; no image's data is ever in one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {
            key: value
            for key, value in vars(record).items()
            if key not in _OF_RECORDS and value is not None
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def log_json() -> Iterator[None]:
    """Have the service and its HTTP server log as JSON lines on standard error, meanwhile."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    with contextlib.ExitStack() as stack:
        for name, level in (("workzone", logging.INFO), ("uvicorn.error", logging.WARNING)):
            logger = logging.getLogger(name)
            stack.callback(_as_before, logger, logger.handlers, logger.propagate, logger.level)
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(level)
        yield


def _as_before(
    logger: logging.Logger, handlers: list[logging.Handler], propagate: bool, level: int
) -> None:
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
