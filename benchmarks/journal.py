"""Files of JSON lines, one for each thing that is done; several jobs may write to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock


def read_journal(path: Path) -> list[dict[str, Any]]:
    """What is done; a last line that was cut off is not.

    Raises:
        SystemExit: another line is no JSON.
    """
    if not path.exists():
        return []
    *lines, cut = path.read_text().split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise SystemExit(f"{path}, line {number}: {error}; delete the line") from error
    if cut:
        print(f"{path}: its last line was cut off and is left aside")
    return rows


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a line, whole or not at all; one that was cut off before is dropped."""
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(row).encode() + b"\n")


def bind(folder: Path, identity: dict[str, Any]) -> None:
    """Write what a work folder is for, or stop where it is for something else.

    Raises:
        SystemExit: it is for something else.
    """
    path = folder / "for.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(identity, indent=2) + "\n")
    found = json.loads(path.read_text())
    other = [f"{k}: {found.get(k)} -> {v}" for k, v in identity.items() if found.get(k) != v]
    if other:
        raise SystemExit(f"{folder} is of another run ({', '.join(other)}); name another --work")
