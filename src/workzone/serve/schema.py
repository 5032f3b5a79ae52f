"""What answers look like, for the OpenAPI description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from workzone.serve.config import OPTIONS
from workzone.serve.pictures import MEDIA_TYPES
from workzone.serve.problems import MEDIA_TYPE

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR42mOsr69nIAUwMZAIRjWMahg6GgDAIgGd"
    "X86MsQAAAABJRU5ErkJggg=="
)
"""The smallest picture that is judged, 16 x 16 pixels, as a PNG in base64."""


class Picture(BaseModel):
    """A picture in base64."""

    media_type: str
    data: str


class Explanation(BaseModel):
    """Where the evidence lies."""

    overlay: Picture = Field(description="The frame with the evidence drawn over it, as JPEG.")
    layer: Picture = Field(
        description="The evidence alone, as a transparent PNG to be laid over the frame."
    )


class Object(BaseModel):
    """An object that a mask shows, in fractions of the upright frame."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    rings: list[list[tuple[float, float]]] = Field(description="Its outline, then its holes.")


class Milliseconds(BaseModel):
    """Where the time went."""

    queue: float
    total: float


class Answer(BaseModel):
    """The decision on one image."""

    id: str
    probability: float = Field(ge=0, le=1, description="Of road work; above 0.5 is road work.")
    decision: Literal["roadwork", "none", "unsure"]
    view: int
    view_weight: float
    box: tuple[float, float, float, float] = Field(
        description="Of the strongest evidence: x0, y0, x1, y1 in fractions of the frame."
    )
    inputs: Literal["image", "image+metadata"]
    engine: str
    precision: str
    reason: str = Field(default="", description="For doubt, in words.")
    unlike: float | None = Field(default=None, description="How unlike training; None: not told.")
    explanation: Explanation | None = None
    objects: list[Object] | None = Field(default=None, description="Where masks were asked for.")
    model: str = Field(description="The model's identity: changes with its weights or engine.")
    version: str
    request_id: str
    milliseconds: Milliseconds


class ProblemDocument(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    limit: float | None = None


class Item(BaseModel):
    """One image of a batch: an answer or a problem."""

    id: str
    answer: Answer | None = None
    problem: ProblemDocument | None = None


class BatchAnswer(BaseModel):
    """Items in the order of the request's."""

    results: list[Item]
    request_id: str


class About(BaseModel):
    """The loaded model."""

    model: str
    version: str
    identity: str
    engine: str
    precision: str
    device: str
    view_size: int
    takes_metadata: bool
    calibration: dict[str, Any]
    metadata_calibration: dict[str, Any] | None
    backbone: str
    backbone_licence: str
    card: str = Field(description="The model card, in Markdown.")
    options: list[str] = Field(description="What a request may ask for beside the decision.")
    doubts: str = Field(description="What `unsure` cannot tell with this model; empty: nothing.")
    limits: dict[str, float]


_FLAGS: dict[str, Any] = {name: {"type": "boolean", "default": False} for name in OPTIONS}
_METADATA = {
    "type": "object",
    "properties": {
        **{name: {"type": ["number", "null"]} for name in ("latitude", "longitude")},
        **{name: {"type": ["string", "null"]} for name in ("weather", "daytime", "scene", "text")},
    },
    "additionalProperties": False,
}
_IN_JSON = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "contentEncoding": "base64"},
        "id": {"type": "string", "minLength": 1, "maxLength": 1000},
        "metadata": _METADATA,
        **_FLAGS,
    },
    "additionalProperties": False,
}
_FILE = {"type": "string", "format": "binary"}


def _form(files: dict[str, Any], metadata: str) -> dict[str, Any]:
    fields = {"image": files, "metadata": {"type": "string", "description": metadata}, **_FLAGS}
    return {"schema": {"type": "object", "required": ["image"], "properties": fields}}


ONE: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _IN_JSON,
            "example": {"image": PIXEL, "id": "grey.png", "metadata": {"weather": "rain"}},
        },
        "multipart/form-data": _form(_FILE, "The metadata of the image, as JSON."),
        **{kind: {"schema": _FILE} for kind in MEDIA_TYPES},
    },
}
"""The body of a request for one image."""

MANY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["images"],
                "properties": {"images": {"type": "array", "minItems": 1, "items": _IN_JSON}},
                "additionalProperties": False,
            },
            "example": {"images": [{"image": PIXEL, "id": "a"}, {"image": PIXEL, "id": "b"}]},
        },
        "multipart/form-data": _form(
            {"type": "array", "items": _FILE},
            "A JSON list with a mapping or null for each file.",
        ),
    },
}
"""The body of a batch."""

PARAMETERS: list[dict[str, Any]] = [
    *(
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _FLAGS.items()
    ),
    {
        "name": "id",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 1000},
    },
    {
        "name": "metadata",
        "in": "query",
        "required": False,
        "description": "A JSON mapping; of a batch a list of them.",
        "schema": {"type": "string"},
        "example": '{"latitude": 40.44, "longitude": -79.99, "weather": "rain"}',
    },
    {
        "name": "X-Deadline-Ms",
        "in": "header",
        "required": False,
        "description": "Milliseconds after which the answer is of no use any more.",
        "schema": {"type": "integer", "minimum": 1},
    },
]
"""Of both addresses for images."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the problem documents of these statuses."""
    content = {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}}
    return {
        status: {"description": "A problem document.", "content": content} for status in statuses
    }
