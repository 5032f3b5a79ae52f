"""From an image's name, as a data set writes it, to the file on disk.

Tables are written on one system and read on another: Windows parts folders by backslashes and does
not tell letter cases apart, and macOS stores accents as letter and mark, other systems as one sign.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from workzone.data.kinds import is_address, local_path
from workzone.data.masks.references import with_path

_DRIVE = re.compile(r"(?:^|/)([A-Za-z]:)[\\/]")


def resolve_image(folder: Path, name: str) -> str:
    """The path of the file that a row names; a relative name starts at ``folder``.

    The name as it is written wins. Where nothing has it, backslashes are read as slashes, and each
    part is looked for in its folder: composed and decomposed accents are the same, then capital
    and small letters too, if exactly one entry fits. ``file:`` addresses are read as the path that
    they name, and ``~`` as the home folder.

    Returns:
        the path of what was found; else ``folder / name``, whose reading says that it is missing;
        a web address as it is.
    """
    written = str(folder / name)
    if os.path.lexists(written):
        return written
    name = local_path(name)
    if is_address(name):
        return name
    if name.startswith(("~/", "~\\")):
        name = os.path.expanduser(f"~/{name[2:]}")  # noqa: PTH111 (a home may be unknown)
    written = str(folder / name)
    if os.path.lexists(written):
        return written
    slashed = with_slashes(name)
    found = folder / PurePosixPath(slashed).anchor
    for part in PurePosixPath(slashed).relative_to(PurePosixPath(slashed).anchor).parts:
        entry = _entry(found, part)
        if entry is None:
            return written
        found /= entry
    return str(found)


def resolve_masks(folder: Path, reference: str) -> str:
    """The same for a reference to masks, which may end in ``#IMAGE_ID``."""
    return with_path(reference, lambda path: resolve_image(folder, path))


def with_slashes(name: str) -> str:
    """A name with slashes for the backslashes of Windows; paths with a drive stay as they are."""
    return name if PureWindowsPath(name).drive else name.replace("\\", "/")


def missing_hint(path: str) -> str:
    """What to do about a path that no file has, to be put behind the error; often empty."""
    drive = _DRIVE.search(path)
    if drive:
        return (
            f"; {drive[1]} is a drive of Windows: write the path relative to the table, with "
            "slashes instead of backslashes"
        )
    alike = _listing(Path(path).parent).get(_loose(Path(path).name), ())
    if len(alike) > 1:
        names = " and ".join(map(repr, sorted(alike)[:3]))
        return f"; {names} differ from it in letter case only: name one of them"
    if "\\" in path:
        return "; with slashes instead of its backslashes there is none either"
    return ""


def _entry(folder: Path, name: str) -> str | None:
    """The one entry of ``folder`` that ``name`` means."""
    if name == ".." or os.path.lexists(folder / name):
        return name
    alike = _listing(folder).get(_loose(name), ())
    composed = [entry for entry in alike if _composed(entry) == _composed(name)]
    return next((found[0] for found in (composed, alike) if len(found) == 1), None)


def _listing(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Names in a folder, by their loose form; empty where it cannot be listed."""
    try:
        return _listed(str(folder), folder.stat().st_mtime_ns)
    except (OSError, ValueError):  # no such folder, or a name that none can have
        return {}


@lru_cache(maxsize=64)
def _listed(folder: str, _modified: int) -> Mapping[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for entry in Path(folder).iterdir():
        names[_loose(entry.name)] += (entry.name,)
    return dict(names)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _loose(name: str) -> str:
    return _composed(_composed(name).casefold())
