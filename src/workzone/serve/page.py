"""The page at `/`: files that a browser is sent, under a policy that lets nothing else in."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from workzone.serve.gate import PAGE_POLICY

FOLDER = Path(__file__).parent / "page"
_HEADERS = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_page(app: Starlette) -> None:
    """Have an application send the page at `/`, and what belongs to it below `/page/`.

    All addresses in it are relative: it works behind a proxy that puts a path before them.
    """

    async def index(_: object) -> Response:
        return FileResponse(FOLDER / "index.html", headers=_HEADERS)

    app.add_route("/", index, include_in_schema=False)
    app.mount("/page", _Files(directory=FOLDER), name="page")
