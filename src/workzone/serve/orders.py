"""From a request's body to orders for the workers: forms, raw bytes, and base64 in JSON."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile

from workzone.errors import UsageError, nearest
from workzone.run.metadata import POSITION_KEYS, sample_from
from workzone.serve.config import OPTIONS, Limits
from workzone.serve.pictures import MEDIA_TYPES, check_picture
from workzone.serve.problems import Problem
from workzone.serve.reading import Body
from workzone.serve.wire import Order

_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
_LONGEST_ID = 1_000
_LONGEST_TEXT = 10_000
_FIELDS = ("id", "metadata", *OPTIONS)
_MOST_VALUES = 1_000_000
"""Of a JSON text; an empty list takes two bytes there, and as an object thirty times that."""


@dataclass(frozen=True)
class Reader:
    """Reads bodies as the loaded model and the limits allow."""

    limits: Limits
    options: Sequence[str]  # of `OPTIONS`, those that the model has

    async def one(self, body: Body) -> Order:
        """The order of a request for one image.

        Raises:
            Problem: of a type that is not taken, or anything in it is wrong.
        """
        asked = self._query(body)
        kind = _media_type(body)
        if kind == "multipart/form-data":
            form = await body.form(files=1)
            (upload,) = _files(form, "one file")
            data = await upload.read()
            asked = {"id": upload.filename or "image", **asked, **_fields(form)}
        elif kind in MEDIA_TYPES or kind == "application/octet-stream":
            data = await body.read()
        elif kind == "application/json":
            value = read_json(await body.read(), "the body")
            data, asked = self._of_json(value, asked)
        else:
            raise _unsupported(kind, ("multipart/form-data", "application/json", *MEDIA_TYPES))
        return self.order(data, asked)

    async def many(self, body: Body) -> list[Order | tuple[str, Problem]]:
        """The orders of a batch; in place of one that is wrong its id and why.

        Raises:
            Problem: of the batch as a whole.
        """
        common = self._query(body)
        kind = _media_type(body)
        parts: list[tuple[bytes, dict[str, Any]] | tuple[str, Problem]] = []
        if kind == "multipart/form-data":
            form = await body.form(files=self.limits.batch_parts)
            common |= _fields(form)
            uploads = _files(form, "files")
            known = _list_of_metadata(common.pop("metadata", None), len(uploads))
            for number, (upload, metadata) in enumerate(zip(uploads, known, strict=True)):
                name = upload.filename or str(number)
                parts.append((await upload.read(), {"id": name, **common, "metadata": metadata}))
        elif kind == "application/json":
            value = read_json(await body.read(), "the body")
            images = value.get("images") if isinstance(value, dict) else None
            if not isinstance(images, list) or len(value) > 1:
                raise Problem("bad-request", 'the body is no JSON like {"images": [{"image": ""}]}')
            self._check_count(len(images))  # before a problem is made of each
            for number, image in enumerate(images):
                try:
                    parts.append(self._of_json(image, {"id": str(number), **common}))
                except Problem as problem:
                    parts.append((str(number), problem))
        else:
            raise _unsupported(kind, ("multipart/form-data", "application/json"))
        return [self._tried(number, part) for number, part in enumerate(parts)]

    def _query(self, body: Body) -> dict[str, Any]:
        """What the query asks for, by name.

        Raises:
            Problem: it is too long, or has a name that is none of a request's fields.
        """
        length, most = len(body.request.scope["query_string"]), self.limits.query_bytes
        if length > most:
            raise Problem(
                "query-too-long",
                f"the query has {length:,} bytes, at most {most:,} are taken: send metadata as a "
                "field of a form, or in JSON",
                limit=most,
            )
        return _known(body.request.query_params.multi_items())

    def _check_count(self, count: int) -> None:
        most = self.limits.batch_parts
        if not 1 <= count <= most:
            raise Problem("bad-request", f"{count} images: send 1 to {most}", limit=most)

    def _tried(
        self, number: int, part: tuple[bytes, dict[str, Any]] | tuple[str, Problem]
    ) -> Order | tuple[str, Problem]:
        data, asked = part
        if isinstance(asked, Problem):
            assert isinstance(data, str)
            return data, asked
        assert isinstance(data, bytes)
        try:
            if len(data) > self.limits.body_bytes:
                most = self.limits.body_bytes
                detail = f"{len(data):,} bytes, at most {most:,} an image: send a smaller one"
                raise Problem("body-too-large", detail, limit=most)
            return self.order(data, asked)
        except Problem as problem:
            name = asked.get("id")
            return name[:_LONGEST_ID] if isinstance(name, str) else str(number), problem

    def _of_json(self, value: Any, asked: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if not isinstance(value, dict) or not isinstance(value.get("image"), str):
            raise Problem("bad-request", 'send JSON like {"image": "the file in base64"}')
        more = {key: part for key, part in value.items() if key != "image"}
        return image_bytes(value["image"]), asked | _known(more.items())

    def order(self, data: bytes, asked: Mapping[str, Any]) -> Order:
        """One order, checked.

        Args:
            data: the image's file.
            asked: values by name: id, metadata and `OPTIONS`.

        Raises:
            Problem: anything is wrong with it.
        """
        name = asked.get("id", "image")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID:
            raise Problem("option", f"an id is a text of 1 to {_LONGEST_ID} characters")
        options = {option: _flag(option, asked.get(option, False)) for option in OPTIONS}
        for option, wanted in options.items():
            if wanted and option not in self.options:
                raise Problem(
                    "option",
                    f"{option}: the loaded model gives none. It gives "
                    f"{', '.join(self.options) or 'the decision alone'}: leave it out, or serve a "
                    "model that was trained for it",
                    options=list(self.options),
                )
        metadata = _metadata(asked.get("metadata"))
        check_picture(data, most_pixels=self.limits.pixels, most_scans=self.limits.scans)
        return Order(name, data, metadata, **options)


def _media_type(body: Body) -> str:
    return body.request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, taken: Sequence[str]) -> Problem:
    return Problem(
        "unsupported-type",
        f"Content-Type {kind[:80]!r} is not taken: send {', '.join(taken[:-1])} or {taken[-1]}",
        types=list(taken),
    )


def _known(pairs: Any) -> dict[str, Any]:
    """Values by name.

    Raises:
        Problem: a name that is none of a request's fields.
    """
    values = dict(pairs)
    for name in values:
        if name not in _FIELDS:
            raise Problem("option", f"{str(name)[:80]!r} is not known; {nearest(name, _FIELDS)}")
    return values


def _fields(form: FormData) -> dict[str, Any]:
    return _known([(k, v) for k, v in form.multi_items() if isinstance(v, str) and v != ""])


def _files(form: FormData, what: str) -> list[UploadFile]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Problem("bad-request", f"the form holds no file: send {what} as the field image")
    return files


def _flag(name: str, value: Any) -> bool:
    found = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
    if found is None:
        raise Problem("option", f"{name} is {str(value)[:40]!r}: give true or false")
    return found


def read_json(text: bytes | str, what: str) -> Any:
    """A value from JSON, with finite numbers alone and not of very many parts.

    Raises:
        Problem: it is none.
    """
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if sum(raw.count(mark) for mark in (b"[", b"{", b",")) > _MOST_VALUES:  # none is in base64
        raise Problem("bad-request", f"{what} holds more than {_MOST_VALUES:,} values")
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Problem("bad-request", f"{what} is no JSON: {str(error)[:200]}") from error


def _number(text: str) -> float:
    """A float; what is too large for one would become infinite."""
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(name: str) -> float:
    raise ValueError(f"{name[:40]} is no finite number")


def image_bytes(text: str) -> bytes:
    """The bytes of base64, or of a ``data:`` address; nothing is fetched.

    Raises:
        Problem: it is no base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(
            "bad-request", "image is no base64: send the file's bytes in base64, no address of it"
        ) from error


def _metadata(value: Any) -> dict[str, Any]:
    """Metadata of one image, as JSON text or already read.

    Raises:
        Problem: not such as `workzone.run.metadata` takes.
    """
    if isinstance(value, str):
        value = read_json(value, "metadata")
    if value is None:
        return {}
    try:
        sample_from(value, "image")
    except UsageError as error:
        raise Problem("metadata", str(error)[:500]) from error
    for key, part in value.items():
        if key in POSITION_KEYS and part is not None and not _finite(part):
            raise Problem("metadata", f"{key} is no finite number: give degrees")
        if isinstance(part, str) and len(part) > _LONGEST_TEXT:
            raise Problem("metadata", f"{key} is longer than {_LONGEST_TEXT:,} characters")
    return dict(value)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _list_of_metadata(value: Any, count: int) -> list[Any]:
    if value is None:
        return [None] * count
    values = read_json(value, "metadata")
    if not isinstance(values, list) or len(values) != count:
        raise Problem(
            "metadata",
            f"of a batch, metadata is a JSON list with one mapping or null for each of "
            f"the {count} files",
        )
    return values
