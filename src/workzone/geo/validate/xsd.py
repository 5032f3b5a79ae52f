"""XML held to a schema of the user's: that of DATEX II is not within this package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from workzone.errors import UsageError, needing_geo
from workzone.geo.validate.report import Finding

_SPACES_OF_NAMES = re.compile(r"\{[^}]*\}|(?<=')[\w.-]+:(?=[\w.-]+')")


def check_schema(content: bytes, schema: Path) -> Iterator[Finding]:
    """What a schema does not allow in a document, in order.

    Args:
        content: an XML document without DOCTYPE, see `workzone.geo.validate.xml.read_xml`.
        schema: an XSD file (1.0), with those that it names beside it; nothing is asked of the
            network.

    Raises:
        UsageError: the schema cannot be read, or what it names is not there.
        MissingExtraError: the extra ``geo`` is not installed.
    """
    with needing_geo("holding a feed to an XML schema"):
        import xmlschema
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", xmlschema.XMLSchemaImportWarning)
            warnings.simplefilter("error", xmlschema.XMLSchemaIncludeWarning)
            made = xmlschema.XMLSchema10(schema, allow="local", defuse="always")
    except (OSError, xmlschema.XMLSchemaException, Warning) as error:
        first = _plain(str(error).strip().partition("\n")[0])
        raise UsageError(
            f"{schema} cannot be read as an XML schema: {first}; give the one of the whole "
            "document, such as DATEXII_3_D2Payload.xsd, with all others of its version beside it"
        ) from error
    for fault in made.iter_errors(content):
        reason = _plain(fault.reason or "does not fit")
        yield Finding(_where(fault.path or "/"), f"breaks the schema: {reason}")


def _where(path: str) -> str:
    """Without prefixes and the root: ``/d2:payload/sit:situation[2]`` is ``situation[2]``."""
    names = [part.rpartition(":")[2] for part in path.split("/") if part]
    return "/".join(names[1:] or names)


def _plain(reason: str) -> str:
    """In one line, with local names."""
    return " ".join(_SPACES_OF_NAMES.sub("", reason).split())
