"""Which encoding a text file is in."""

from __future__ import annotations

import codecs
from pathlib import Path

from workzone.errors import ManifestError

_MARKS = {  # the longer first: that of UTF-32 begins like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods are zip files; .xls
WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"})


def encoding_of(path: Path) -> str:
    """The encoding that a file's byte-order mark names; UTF-8 where it has none.

    Raises:
        ManifestError: a spreadsheet's workbook, or text in UTF-16 without the mark.
    """
    with path.open("rb") as handle:
        head = handle.read(4)
    if head.startswith(_WORKBOOKS):
        raise ManifestError(workbook_advice(path))
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    if b"\0" in head:
        raise ManifestError(
            f"{path} is no text in UTF-8; save it as UTF-8, or UTF-16 with its mark"
        )
    return "utf-8"


def workbook_advice(path: Path) -> str:
    """What to do with the workbook of a spreadsheet program."""
    return (
        f"{path} is a workbook of a spreadsheet program; save its sheet as 'CSV UTF-8' and give "
        "that file"
    )
