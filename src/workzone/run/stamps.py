"""What a result was made of, in a few letters: another image, time or place has another stamp."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from workzone.data.remote import is_remote
from workzone.run.metadata import mapping_of
from workzone.run.result_rows import known_of
from workzone.run.sources import Item


def stamps_of(images: Iterable[tuple[str, Item]], *, with_metadata: bool) -> dict[str, str | None]:
    """The stamps of images, and of what is known of them, by id; None of files not found.

    A file is told by its content hash, where a manifest has it, else by its size and its time of
    change, which is also that of everything in an archive; at an address by its name alone.

    Args:
        images: ids and images.
        with_metadata: whether the model looks at what a manifest says, too.
    """
    states: dict[Path, tuple[int, int] | None] = {}
    return {name: _stamp(item, states, with_metadata=with_metadata) for name, item in images}


def _stamp(
    item: Item, states: dict[Path, tuple[int, int] | None], *, with_metadata: bool
) -> str | None:
    content = _content(item, states)
    if content is None:
        return None
    known = known_of(item.sample)
    metadata = mapping_of(item.sample) if with_metadata and item.sample is not None else None
    text = f"{content} {sorted(known.items())} {metadata}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _content(item: Item, states: dict[Path, tuple[int, int] | None]) -> str | None:
    ref, sample = item.ref, item.sample
    if sample is not None and sample.content_hash is not None:
        return sample.content_hash
    where = f"{ref.member} {ref.row}"
    if is_remote(ref.path) or item.data is not None:
        return f"{ref.path} {where}"
    path = item.root / ref.path
    if ref.member is None:
        state = _state(path)
    else:
        if path not in states:
            states[path] = _state(path)
        state = states[path]
    return None if state is None else f"{state} {where}"


def _state(path: Path) -> tuple[int, int] | None:
    """Bytes and time of change of a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
