"""Sentence vectors: a frozen sentence model is run once for each text, and its vectors are stored.

A store is a folder, named after the model and a key of all that changes a vector; it holds
``part-<hash>.safetensors`` files, each with up to `PART` texts::

    hashes    uint8    [rows, 16]   BLAKE2b-128 of the text
    vectors   float32  [rows, W]    of unit length
    (header)  spec     the model, as JSON

Parts are written whole and never changed, so a job that is stopped goes on where its last part
ended, and two jobs may write to the same folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from workzone.config import from_mapping
from workzone.errors import StoreError, WorkzoneError
from workzone.features.text_model import SentenceModel
from workzone.features.text_spec import TextSpec, clean
from workzone.files import writing
from workzone.progress import bar

PART = 1024
"""Texts in one part: what a stopped job can lose."""


class TextVectors:
    """Sentence vectors by text."""

    def __init__(self, spec: TextSpec, vectors: torch.Tensor, rows: Mapping[bytes, int]) -> None:
        """Hold ``vectors`` ``[n, W]``; ``rows`` says where the text of a hash is."""
        self.spec = spec
        self._vectors = vectors
        self._rows = rows

    @property
    def width(self) -> int:
        """W."""
        return self.spec.width

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, text: str) -> bool:
        return text_hash(text) in self._rows

    def get(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors ``[len(texts), W]``, float32, of unit length.

        Raises:
            StoreError: a text has no vector.
        """
        rows = []
        for text in texts:
            row = self._rows.get(text_hash(text))
            if row is None:
                raise StoreError(
                    f"the text {text[:60]!r} has no vector of {self.spec.model}; "
                    "make vectors of these rows' texts first (workzone.features.text.text_vectors)"
                )
            rows.append(row)
        return self._vectors[rows]


def text_hash(text: str) -> bytes:
    """16 bytes that stand for a text, however it is spaced."""
    return hashlib.blake2b(clean(text).encode(), digest_size=16).digest()


def text_vectors(texts: Iterable[str | None], root: Path, model: SentenceModel) -> TextVectors:
    """Vectors of ``texts``: those stored below ``root`` are read, the others made and stored.

    Missing and blank texts are left out.

    Raises:
        StoreError: a stored part is damaged.
        WorkzoneError: the disk is full; what was finished is kept.
    """
    folder = model.spec.folder(root)
    vectors, rows = _read(folder, model.spec)
    wanted = {text_hash(text): text for text in map(clean, texts) if text}
    todo = sorted((digest, text) for digest, text in wanted.items() if digest not in rows)
    parts = [vectors]
    with bar("sentence vectors", total=len(todo)) as handle:
        for start in range(0, len(todo), PART):
            digests, chosen = zip(*todo[start : start + PART], strict=True)
            made = model.encode(chosen)
            _write(folder, model.spec, digests, made)
            parts.append(made)
            for digest in digests:
                rows[digest] = len(rows)
            handle.advance(len(chosen))
    return TextVectors(model.spec, torch.cat(parts), rows)


def read_text_vectors(folder: Path) -> TextVectors:
    """What is stored in ``folder`` (see :meth:`TextSpec.folder`); the model is not needed.

    Raises:
        StoreError: there is nothing, or a part is damaged.
    """
    parts = _parts(folder)
    if not parts:
        raise StoreError(
            f"no sentence vectors in {folder}; make them with workzone.features.text.text_vectors"
        )
    spec = _read_part(parts[0])[0]
    return TextVectors(spec, *_read(folder, spec))


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.safetensors"))


def _read(folder: Path, spec: TextSpec) -> tuple[torch.Tensor, dict[bytes, int]]:
    found = [torch.zeros(0, spec.width)]
    rows: dict[bytes, int] = {}
    for path in _parts(folder):
        stored, digests, vectors = _read_part(path)
        if stored != spec:
            raise StoreError(f"{path} holds vectors of another model, {stored.model}; delete it")
        fresh = [place for place, digest in enumerate(digests) if digest not in rows]
        for place in fresh:  # two jobs may both have made a vector
            rows[digests[place]] = len(rows)
        found.append(vectors[fresh])
    return torch.cat(found), rows


def _read_part(path: Path) -> tuple[TextSpec, list[bytes], torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as part:
            spec = from_mapping(TextSpec, json.loads(part.metadata()["spec"]), where=str(path))
            hashes, vectors = part.get_tensor("hashes"), part.get_tensor("vectors")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, WorkzoneError) as error:
        raise StoreError(f"{path} cannot be read ({error}); delete it and run again") from error
    if hashes.shape != (len(vectors), 16) or vectors.shape[1:] != (spec.width,):
        raise StoreError(f"{path} has the wrong shapes; delete it and run again")
    return spec, [bytes(row) for row in hashes.numpy()], vectors


def _write(folder: Path, spec: TextSpec, digests: Sequence[bytes], vectors: torch.Tensor) -> None:
    from safetensors.torch import save_file

    hashes = torch.tensor([list(digest) for digest in digests], dtype=torch.uint8)
    name = hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()
    with writing(folder / f"part-{name}.safetensors") as aside:
        save_file(
            {"hashes": hashes, "vectors": vectors.contiguous()},
            aside,
            metadata={"spec": json.dumps(dataclasses.asdict(spec))},
        )
