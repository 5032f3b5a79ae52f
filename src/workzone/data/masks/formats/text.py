"""Files of annotations as text, with one sentence where they cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workzone.errors import ManifestError


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        ManifestError: it is missing, empty, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"no annotations at {path}; name another file or folder") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error
    if not content.strip():
        raise ManifestError(f"{path} is empty; fetch or export it again")
    return content


def read_text(path: Path) -> str:
    """The same as text in UTF-8.

    Raises:
        ManifestError: as `read_bytes`, or another encoding.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is no text in UTF-8: {error}; export it again") from error


def read_json(path: Path) -> Any:
    """The same as JSON.

    Raises:
        ManifestError: as `read_bytes`, or it is no whole JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"{path} is not readable JSON: {error}; fetch or export it again"
        ) from error
