"""Small text files that stand for large ones which were not fetched."""

from __future__ import annotations

import re

_LFS = re.compile(rb"version https?://(git-lfs\.github\.com|hawser\.github\.com)/spec/")
_ANNEX = re.compile(rb"(\.\./|\.git)?/?(\.\./)*(\.git)?/?annex/objects/")
_LONGEST = 32 * 1024  # bytes; pointers are far shorter


def pointer_advice(data: bytes) -> str | None:
    """What a file's bytes stand for and how to fetch it, or None where they are no pointer.

    Args:
        data: the file's bytes, or its first few hundred.
    """
    if len(data) > _LONGEST:
        return None
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _LFS.match(start):
        return "a git-lfs pointer, not the file itself: run `git lfs pull` where it was cloned"
    if _ANNEX.match(start):
        return "a git-annex pointer, not the file itself: run `git annex get` where it was cloned"
    return None
