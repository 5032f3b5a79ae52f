"""Options of commands that answer over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HostOption = Annotated[
    str, typer.Option(help="Address to listen at; 0.0.0.0 is every network of this machine.")
]
PortOption = Annotated[int, typer.Option(help="Port; 0 takes any free one, which the log names.")]
TokensOption = Annotated[
    Path | None,
    typer.Option(help="File of bearer tokens, one a line; without it anybody may ask."),
]
OriginOption = Annotated[
    list[str] | None,
    typer.Option(help="Another site whose pages may ask, such as https://example.org."),
]
