"""What a result was made of, in a few letters: another image, time or place has another stamp."""

from __future__ import annotations

import hashlib

from workzone.data.remote import is_remote
from workzone.run.metadata import mapping_of
from workzone.run.sources import Item
from workzone.run.tables import known_of


def stamp_of(item: Item, *, with_metadata: bool) -> str | None:
    """The stamp of an image, and of what is known of it; None where the file cannot be found.

    The file is told by its content hash, where a manifest has it, else by its size and its time of
    change; at an address by its name alone.

    Args:
        item: the image.
        with_metadata: whether the model looks at what a manifest says, too.
    """
    content = _content(item)
    if content is None:
        return None
    known = known_of(item.sample)
    metadata = mapping_of(item.sample) if with_metadata and item.sample is not None else None
    text = f"{content} {sorted(known.items())} {metadata}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _content(item: Item) -> str | None:
    ref, sample = item.ref, item.sample
    if sample is not None and sample.content_hash is not None:
        return sample.content_hash
    where = f"{ref.member} {ref.row}"
    if is_remote(ref.path) or item.data is not None:
        return f"{ref.path} {where}"
    try:
        state = (item.root / ref.path).stat()
    except OSError:
        return None
    return f"{state.st_size} {state.st_mtime_ns} {where}"
