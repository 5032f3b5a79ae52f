"""What the service and its workers say to each other: JSON and the bytes of images, no objects.

A worker decodes images of strangers; nothing that it sends is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class Order:
    """One image to judge."""

    name: str
    data: bytes
    metadata: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    masks: bool = False
    unsure: bool = False


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """One message of plain values."""
    connection.send_bytes(json.dumps(message, allow_nan=False).encode())


def receive(connection: Connection) -> dict[str, Any]:
    """One message.

    Raises:
        EOFError, OSError: the other side is gone.
    """
    message: dict[str, Any] = json.loads(connection.recv_bytes())
    return message


def send_orders(connection: Connection, orders: Sequence[Order], *, alone: bool) -> None:
    """Images with what is asked of them; ``alone``: no other worker computes now."""
    plain = [{k: v for k, v in asdict(order).items() if k != "data"} for order in orders]
    send(connection, {"orders": plain, "alone": alone})
    for order in orders:
        connection.send_bytes(order.data)


def receive_orders(connection: Connection) -> tuple[list[Order], bool]:
    """What `send_orders` sent.

    Raises:
        EOFError, OSError: the service is gone.
    """
    message = receive(connection)
    orders = [Order(data=connection.recv_bytes(), **plain) for plain in message["orders"]]
    return orders, message["alone"]
