"""Vector tiles read by Protocol Buffers' own library, from the description of the format."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_MESSAGES = {
    "Value": [
        ("string_value", 1, _FIELD.TYPE_STRING, False),
        ("double_value", 3, _FIELD.TYPE_DOUBLE, False),
        ("uint_value", 5, _FIELD.TYPE_UINT64, False),
    ],
    "Feature": [
        ("tags", 2, _FIELD.TYPE_UINT32, True),
        ("type", 3, _FIELD.TYPE_UINT32, False),
        ("geometry", 4, _FIELD.TYPE_UINT32, True),
    ],
    "Layer": [
        ("version", 15, _FIELD.TYPE_UINT32, False),
        ("name", 1, _FIELD.TYPE_STRING, False),
        ("features", 2, "Feature", True),
        ("keys", 3, _FIELD.TYPE_STRING, True),
        ("values", 4, "Value", True),
        ("extent", 5, _FIELD.TYPE_UINT32, False),
    ],
    "Tile": [("layers", 3, "Layer", True)],
}


def _tile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="tile.proto", package="tile", syntax="proto2")
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            field = made.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".tile.{kind}"
            else:
                field.type = kind
            field.options.packed = name in ("tags", "geometry")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tile.Tile"))


_Tile = _tile_class()


Step = tuple[int, int]


def read_tile(body: bytes) -> list[tuple[list[list[Step]], dict[str, Any]]]:
    """Of each feature its parts, of places on the tile's grid, and its properties."""
    tile = _Tile.FromString(body)
    if not tile.layers:
        return []
    (layer,) = tile.layers
    assert (layer.version, layer.name, layer.extent) == (2, "events", 4096)
    values = [getattr(v, next(f.name for f, _ in v.ListFields())) for v in layer.values]
    found = []
    for feature in layer.features:
        parts = _parts(list(feature.geometry))
        assert {len(part) > 1 for part in parts} == {feature.type == 2}
        pairs = zip(feature.tags[::2], feature.tags[1::2], strict=True)
        found.append((parts, {layer.keys[k]: values[v] for k, v in pairs}))
    return found


def _parts(numbers: list[int]) -> list[list[Step]]:
    parts: list[list[Step]] = []
    x = y = 0
    while numbers:
        command = numbers.pop(0)
        assert command & 7 in (1, 2)
        for _ in range(command >> 3):
            dx, dy = ((n >> 1) ^ -(n & 1) for n in (numbers.pop(0), numbers.pop(0)))
            x, y = x + dx, y + dy
            if command & 7 == 1:
                parts.append([])
            parts[-1].append((x, y))
    return parts
