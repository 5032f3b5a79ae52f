"""XML held to a schema of the user's: that of DATEX II is not within this package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from workzone.errors import FeedError, UsageError, needing_geo
from workzone.geo.validate.report import Finding

if TYPE_CHECKING:
    from xmlschema import XMLSchema10

MOST = 200
"""Faults that are told; each takes longer than the one before, and they are often alike."""
_FIX = (
    "give the one of the whole document, such as DATEXII_3_D2Payload.xsd, with all others of its "
    "version beside it"
)

_SPACES_OF_NAMES = re.compile(r"\{[^}]*\}|(?<=')[\w.-]+:(?=[\w.-]+')")


def check_schema(content: bytes, root: str, schema: Path) -> Iterator[Finding]:
    """What a schema does not allow in a document, in order; `MOST` at most, and if there is more.

    That takes about 5 s a megabyte, and 30 MB of memory.

    Args:
        content: an XML document without DOCTYPE, see `workzone.geo.validate.xml.read_xml`.
        root: its root's name, with its namespace as ElementTree has it.
        schema: an XSD file (1.0), with those that it names beside it; nothing is asked of the
            network.

    Raises:
        UsageError: the schema cannot be read, what it names is not there, or it is of other
            documents.
        FeedError: the document is too large or too deep for that.
        MissingExtraError: the extra ``geo`` is not installed.
    """
    with needing_geo("holding a feed to an XML schema"):
        import xmlschema
    made = _read_schema(schema)
    if root not in made.maps.elements:
        if not made.target_namespace or not root.startswith(f"{{{made.target_namespace}}}"):
            raise UsageError(f"{schema} knows no document that begins with {root!r}: {_FIX}")
        yield Finding(_plain(root), "is no begin of a document by the schema")
        return
    try:
        faults = made.iter_errors(content)
        for fault in islice(faults, MOST):
            reason = _plain(fault.reason or "does not fit")
            yield Finding(_where(fault.path or "/"), f"breaks the schema: {reason}")
        if next(faults, None) is not None:
            yield Finding(_where("/"), f"breaks the schema more often than {MOST} times")
    except (xmlschema.XMLSchemaException, RecursionError) as error:
        raise FeedError(f"it cannot be held to {schema}: {_first_line(error)}") from error


def _read_schema(path: Path) -> XMLSchema10:
    import xmlschema

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", xmlschema.XMLSchemaImportWarning)
            warnings.simplefilter("error", xmlschema.XMLSchemaIncludeWarning)
            return xmlschema.XMLSchema10(path, allow="local", defuse="always")
    except (
        OSError,
        ValueError,
        LookupError,
        RecursionError,
        xmlschema.XMLSchemaException,
        Warning,
    ) as error:
        raise UsageError(
            f"{path} cannot be read as an XML schema: {_first_line(error)}; {_FIX}"
        ) from error


def _first_line(error: BaseException) -> str:
    return _plain((str(error).strip() or type(error).__name__).partition("\n")[0])


def _where(path: str) -> str:
    """Without prefixes and the root: ``/d2:payload/sit:situation[2]`` is ``situation[2]``."""
    names = [part.rpartition(":")[2] for part in path.split("/") if part]
    return "/".join(names[1:] or names)


def _plain(reason: str) -> str:
    """In one line, with local names."""
    return " ".join(_SPACES_OF_NAMES.sub("", reason).split())
