"""Errors as problem documents (RFC 9457): a stable code, the limit that was passed, and the fix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response

MEDIA_TYPE = "application/problem+json"

TITLES = {
    "bad-request": (400, "The request cannot be read"),
    "unauthorised": (401, "A bearer token is needed"),
    "not-found": (404, "There is nothing at this address"),
    "method-not-allowed": (405, "This address takes another method"),
    "slow-body": (408, "The body took too long to arrive"),
    "body-too-large": (413, "The body is too large"),
    "query-too-long": (414, "The query is too long"),
    "unsupported-type": (415, "The body is of a type that is not taken"),
    "unsupported-encoding": (415, "Compressed bodies are not taken"),
    "unsupported-format": (415, "The image is of a format that is not taken"),
    "image-unusable": (422, "The image cannot be used"),
    "too-many-pixels": (422, "The image has too many pixels"),
    "too-many-scans": (422, "The image has too many scans"),
    "metadata": (422, "The metadata cannot be used"),
    "option": (422, "An option cannot be used"),
    "overloaded": (429, "The service cannot keep up"),
    "headers-too-large": (431, "The headers are too large"),
    "draining": (503, "The service is about to stop"),
    "not-ready": (503, "No worker is ready"),
    "deadline": (503, "The answer was not there in time"),
    "worker-died": (503, "The process that judged this image ended"),
    "map-unavailable": (503, "The map cannot be read now"),
    "internal": (500, "The service made a mistake"),
    "model-failed": (500, "The model failed on this image"),
}
"""By code: the status, and a title that never changes."""

RETRYABLE = frozenset({"overloaded", "draining", "not-ready", "deadline", "worker-died"})
"""Codes after which the same request may succeed."""


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """Why a request, or one image of a batch, gets no answer."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        """Name a code of `TITLES`, and say what happened and what to do.

        Args:
            code: of `TITLES`.
            detail: a sentence with the value, the limit and the fix.
            headers: of the answer.
            members: more of the document, such as ``limit``.
        """
        super().__init__(detail)
        self.code, self.detail, self.members = code, detail, members
        self.status, self.title = TITLES[code]
        self.headers = dict(headers or {})

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        return {
            "type": f"urn:workzone:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            **self.members,
        }


def json_response(
    value: Any,
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A value as JSON in ASCII, never with NaN."""
    text = json.dumps(value, allow_nan=False)
    return Response(text, status_code=status, media_type=media_type, headers=dict(headers or {}))


def problem_response(problem: Problem, request_id: str) -> Response:
    """A problem as a whole answer."""
    return json_response(
        problem.document(request_id),
        status=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )
