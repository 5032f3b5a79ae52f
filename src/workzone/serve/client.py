"""Ask a service: with the standard library alone, from any number of threads."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import random
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from workzone.errors import BundleError, ImageError, UsageError, WorkzoneError
from workzone.types import Prediction

_TO_BE_ASKED_AGAIN = (429, 502, 503, 504)
"""Statuses after which the same request may succeed; nothing is changed by asking twice."""
_BROKEN = (http.client.HTTPException, OSError)
_LONGEST_PAUSE = 10.0
_MOST_DEATHS = 3
"""Workers that an image may end; from then on it is held to be the image's doing."""
_LONGEST_ID = 1_000
"""Characters that a service takes; paths may be longer."""
_IMAGE_CODES = {
    "body-too-large": "too-large",
    "too-many-pixels": "too-large",
    "too-many-scans": "too-large",
    "unsupported-format": "unreadable",
    "image-unusable": "unreadable",
}
"""Problems of one image, as codes of `ImageError` where the service names no reason."""


class ServerError(WorkzoneError):
    """The service cannot be reached, or refuses; ``code`` is that of its problem document."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Remote:
    """An answer of a service."""

    prediction: Prediction
    overlay: bytes | None  # JPEG, where it was asked for
    model: str  # identity of the model that gave it


class Client:
    """A service at an address.

    Each thread has a connection of its own, which is kept.
    """

    def __init__(
        self, url: str, *, token: str | None = None, tries: int = 8, seconds: float = 60.0
    ) -> None:
        """Ask nothing yet.

        Args:
            url: such as ``http://localhost:8080``.
            token: for a service that wants one.
            tries: how often to ask where the service is overloaded or cannot be reached.
            seconds: to wait for an answer.

        Raises:
            UsageError: no such address, or no token that a header may hold.
        """
        parts = urlsplit(url)
        try:
            self._port = parts.port
        except ValueError:
            self._port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or self._port == -1:
            raise UsageError(f"--server {url!r}: name an address such as http://localhost:8080")
        self.url = url.rstrip("/")
        self._host, self._path = parts.hostname, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        token = (token or "").strip()
        if not (token.isascii() and token.isprintable()):
            raise UsageError(
                "the token has characters that no header may hold: is it the right one?"
            )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tries, self._seconds = tries, seconds
        self._kept = threading.local()

    def model(self) -> dict[str, Any]:
        """What the service says of its model.

        Raises:
            ServerError: it cannot be reached, or refuses.
        """
        return self._ask("GET", "/v1/model")

    def predict(
        self,
        data: bytes,
        *,
        name: str = "image",
        metadata: Mapping[str, Any] | None = None,
        explain: bool = False,
    ) -> Remote:
        """Have one image judged.

        Args:
            data: the bytes of its file.
            name: what the answer and messages call it.
            metadata: as in :meth:`workzone.Predictor.predict`.
            explain: whether to have an overlay drawn.

        Raises:
            ImageError: the service cannot use the image, or its workers ended over it, one after
                the other (code ``worker-died``).
            BundleError: the model fails on it.
            ServerError: it cannot be reached, or refuses.
        """
        asked = {"id": name[-_LONGEST_ID:] or "image"} | ({"explain": "true"} if explain else {})
        query = urlencode(asked, errors="replace", quote_via=quote)
        body, kind = _form(data, metadata) if metadata else (data, "application/octet-stream")
        said = self._ask("POST", f"/v1/predict?{query}", body, kind, name=name)
        values = {f.name: said[f.name] for f in fields(Prediction) if f.name in said}
        prediction = Prediction(**{**values, "box": tuple(said["box"])})
        overlay = said["explanation"]["overlay"]["data"] if explain else None
        drawn = None if overlay is None else base64.b64decode(overlay)
        return Remote(prediction, drawn, str(said["model"]))

    def _ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "", name: str = ""
    ) -> dict[str, Any]:
        deaths = 0
        pause, error = 0.1, ServerError("unreachable", f"{self.url} was not asked")
        for attempt in range(self._tries):
            if attempt:
                time.sleep(min(pause, _LONGEST_PAUSE) * random.uniform(0.7, 1.3))  # noqa: S311
            try:
                status, wait, text = self._once(method, path, body, kind)
            except _BROKEN as broken:
                self._drop()
                why = str(broken) or type(broken).__name__
                error = ServerError(
                    "unreachable", f"{self.url} does not answer ({why}): does `workzone serve` run?"
                )
                pause *= 2
                continue
            said = json_object(text)
            if status == 200 and said:
                return said
            code = str(said.get("code", f"status-{status}"))
            detail = str(said.get("detail", f"{self.url} answered with status {status}"))
            if code in _IMAGE_CODES:
                raise ImageError(str(said.get("reason", _IMAGE_CODES[code])), _named(detail, name))
            if code == "model-failed":
                raise BundleError(_named(detail, name))
            deaths += code == "worker-died"
            if deaths == _MOST_DEATHS:
                raise ImageError(
                    code,
                    _named(f"{deaths} workers of the service ended over it, one at each try", name),
                )
            error = ServerError(code, f"{self.url}: {detail}")
            if status not in _TO_BE_ASKED_AGAIN:
                break
            pause = max(2 * pause, wait)
        raise error

    def _once(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, float, bytes]:
        """Status, seconds of Retry-After, and the body of one answer."""
        connection = self._connection()
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        connection.request(method, self._path + path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read()
        wait = answer.headers.get("Retry-After", "")
        if answer.will_close:
            self._drop()
        return answer.status, float(wait) if wait.isdecimal() else 0.0, text

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        # A service hangs up after some idle seconds: what can be read then is its end.
        if kept is not None and kept.sock is not None and ended(kept.sock):
            self._drop()
            kept = None
        if kept is None:
            if self._tls is None:
                kept = http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
            else:
                kept = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._seconds, context=self._tls
                )
            self._kept.connection = kept
        return kept

    def _drop(self) -> None:
        kept = getattr(self._kept, "connection", None)
        if kept is not None:
            kept.close()
            self._kept.connection = None


def ended(connection: socket.socket) -> bool:
    """Whether the other side of an idle connection has hung up."""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError, ValueError):  # TLS cannot peek
        return False
    except OSError:
        return True
    finally:
        with contextlib.suppress(OSError):
            connection.settimeout(timeout)


def _form(data: bytes, metadata: Mapping[str, Any]) -> tuple[bytes, str]:
    """An image with its metadata, which may be longer than a query, and the type of that body."""
    limit = secrets.token_hex(16)
    field = json.dumps(metadata, ensure_ascii=False).encode(errors="replace")
    head = f"--{limit}\r\nContent-Disposition: form-data; name="
    body = (
        f'{head}"metadata"\r\n\r\n'.encode()
        + field
        + f'\r\n{head}"image"; filename="image"\r\n\r\n'.encode()
        + data
        + f"\r\n--{limit}--\r\n".encode()
    )
    return body, f"multipart/form-data; boundary={limit}"


def json_object(text: bytes) -> dict[str, Any]:
    """The object that a body of JSON is; empty where it is anything else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _named(detail: str, name: str) -> str:
    return detail if detail.startswith(name) else f"{name}: {detail}"
