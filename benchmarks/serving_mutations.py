"""Requests gone wrong, for serving_trials.py and a shorter test: images, forms, JSON, mutated."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from PIL import Image, ImageDraw

KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp"}
_TYPES = (*KINDS.values(), "application/octet-stream", "image/gif", "text/plain", "", "image/jpeg;")
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


def small(kind: str, side: int = 40) -> bytes:
    """A valid file of a kind of `KINDS`."""
    image = Image.new("RGB", (side, side), (90, 90, 95))
    ImageDraw.Draw(image).rectangle((5, 5, 25, 25), fill=(240, 120, 10))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


GOOD = {kind: small(kind) for kind in KINDS}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A valid file with bytes changed, cut out, doubled or cut off; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(GOOD[draw(st.sampled_from(sorted(GOOD)))])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(("change", "cut", "double", "end", "insert"))):
            case "change" if data:
                data[place] = draw(st.integers(0, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 40))]
            case "double":
                data[place:place] = data[place : place + draw(st.integers(1, 40))]
            case "end":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(max_size=20))
    return bytes(data)


@st.composite
def in_json(draw: st.DrawFn) -> Any:
    """One image in JSON, right or wrong."""
    if draw(st.integers(0, 4)) == 0:
        return draw(_JSON)
    value: dict[str, Any] = {"image": base64.b64encode(draw(files())).decode()}
    if draw(st.booleans()):
        value["metadata"] = draw(
            _JSON
            | st.fixed_dictionaries(
                {},
                optional={"latitude": st.floats() | st.integers(), "weather": st.text(max_size=9)},
            )
        )
    for name in draw(st.lists(st.sampled_from(("id", "explain", "masks", "else")), max_size=2)):
        value[name] = draw(_JSON)
    return value


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """A request to one of the two addresses for images."""
    batch = draw(st.booleans())
    path = "/v1/predict/batch" if batch else "/v1/predict"
    how = draw(st.sampled_from(("raw", "form", "json")))
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(("explain", "metadata", "id", "unsure", "other")))
        value = draw(
            st.sampled_from(("true", "1", "{}", "[]", "%ff", "%00", '"', "a=b", "NaN", ""))
        )
        path += f"?{name}={value}".replace('"', "%22")
    if how == "raw":
        return Asked(path, {"Content-Type": draw(st.sampled_from(_TYPES))}, draw(files()))
    if how == "json":
        value = draw(in_json())
        if batch and draw(st.integers(0, 3)):
            value = {"images": draw(st.lists(in_json(), max_size=3))}
        text = json.dumps(value).encode()
        if draw(st.integers(0, 4)) == 0:
            text = text[: draw(st.integers(0, len(text)))]
        return Asked(path, {"Content-Type": "application/json"}, text)
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        field = draw(
            st.sampled_from(('name="image"; filename="a.jpg"', 'name="metadata"', "x", ""))
        )
        value = draw(files() | st.sampled_from((b"{}", b"[null]", b"true", b"")))
        body += (
            f"--cut\r\nContent-Disposition: form-data; {field}\r\n\r\n".encode() + value + b"\r\n"
        )
    body += draw(st.sampled_from((b"--cut--\r\n", b"--cut", b"")))
    limit = draw(st.sampled_from(("cut", "cut", "cut", "other", "")))
    return Asked(path, {"Content-Type": f"multipart/form-data; boundary={limit}"}, body)
