"""The application: addresses, what they answer, and their description (OpenAPI)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Scope

import workzone
from workzone.serve import metrics, schema
from workzone.serve.base import BaseService
from workzone.serve.gate import REQUEST_ID, Gate
from workzone.serve.page import add_page
from workzone.serve.problems import Problem, json_response, problem_response
from workzone.serve.reading import drain
from workzone.serve.service import GoneError, Service

log = logging.getLogger("workzone.serve")

_GONE = 499
"""Status in the log of a request whose client hung up."""
_REFUSED = (401, 408, 413, 414, 415, 422, 429, 431, 500, 503)


def create_app(service: Service, routers: Sequence[APIRouter] | None = None) -> FastAPI:
    """The application of a service that judges images; it answers while a model loads.

    Args:
        service: what judges.
        routers: what is answered beside `/livez` and `/readyz`, with no description of it; None:
            `api` and the page.
    """
    if routers is not None:
        return build_app(service, routers)
    summary = "Whether there is road work in a street image, how sure, and where."
    app = build_app(service, [api(service)], summary=summary)
    add_page(app)
    return app


def build_app(
    service: BaseService, routers: Sequence[APIRouter], *, summary: str | None = None
) -> FastAPI:
    """The application of any service, which it starts and stops.

    Args:
        service: what is asked.
        routers: what is answered beside `/livez` and `/readyz`.
        summary: of what it does, for its description at `/openapi.json`; None: there is none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(asyncio.to_thread(service.start))
        try:
            yield
        finally:
            await asyncio.to_thread(service.stop)
            await starting

    app = FastAPI(
        title="workzone",
        version=workzone.__version__,
        summary=summary,
        lifespan=lifespan,
        openapi_url=None if summary is None else "/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service

    shown = [health(service), *routers]
    known = {"/", "/openapi.json"} | {
        route.path for router in shown for route in router.routes if isinstance(route, Route)
    }

    def on_answer(scope: Scope, status: int, seconds: float) -> None:
        path = getattr(scope.get("route"), "path", scope["path"])  # without the values in it
        route = path if path in known else "other"
        outcome = scope["workzone"].get("code") or ("gone" if status == _GONE else "ok")
        service.metrics.requests.labels(route, str(status), outcome).inc()
        service.metrics.request_seconds.labels(route).observe(seconds)

    app.add_middleware(Gate, send_seconds=service.config.limits.send_seconds, on_answer=on_answer)
    if service.config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.config.origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Deadline-Ms", REQUEST_ID],
            expose_headers=[REQUEST_ID, "Retry-After"],
        )
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for router in shown:
        app.include_router(router)
    return app


def health(service: BaseService) -> APIRouter:
    """Whether it runs, and whether it takes requests."""

    async def quiet(request: Request) -> None:  # probes come every few seconds
        request.scope["workzone"]["quiet"] = True

    router = APIRouter(tags=["health"], dependencies=[Depends(quiet)])

    @router.get("/livez", summary="Whether the service runs")
    async def livez() -> Response:
        return json_response({"status": "live"})

    @router.get("/readyz", summary="Whether it takes requests", responses=schema.problems(503))
    async def readyz() -> Response:
        ready, state = await asyncio.to_thread(service.readiness)
        return json_response(state, status=200 if ready else 503)

    return router


def api(service: Service) -> APIRouter:
    """Images to answers, the loaded model, and the metrics; for holders of a token, if any."""
    router = guarded(service)

    @router.post(
        "/v1/predict",
        tags=["images"],
        summary="Say of one image whether there is road work in it",
        openapi_extra={"requestBody": schema.ONE, "parameters": schema.PARAMETERS},
        responses={200: {"model": schema.Answer}, **schema.problems(400, *_REFUSED)},
    )
    async def predict(request: Request) -> Response:
        return await answered(request, service, service.one)

    @router.post(
        "/v1/predict/batch",
        tags=["images"],
        summary="The same of several images",
        openapi_extra={"requestBody": schema.MANY, "parameters": schema.PARAMETERS},
        responses={200: {"model": schema.BatchAnswer}, **schema.problems(400, *_REFUSED)},
    )
    async def predict_batch(request: Request) -> Response:
        return await answered(request, service, service.many)

    @router.get(
        "/v1/model",
        tags=["model"],
        summary="The loaded model",
        responses={200: {"model": schema.About}, **schema.problems(401)},
    )
    async def model() -> Response:
        service.check_loaded()
        return json_response(service.about())

    return router


def guarded(service: BaseService) -> APIRouter:
    """A router for holders of a token, if there are any, on which the metrics are."""

    async def allowed(authorization: Annotated[str | None, Header()] = None) -> None:
        service.check_token(authorization)

    router = APIRouter(dependencies=[Depends(allowed)])

    @router.get("/metrics", tags=["health"], summary="Counts and times, for Prometheus")
    async def metrics_text() -> Response:
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    return router


async def answered(
    request: Request,
    service: BaseService,
    answer: Callable[[Request], Awaitable[dict[str, Any] | Response]],
) -> Response:
    """Whatever happens, an answer: a result, a problem, or nothing where nobody listens.

    Raises:
        Problem: what ``answer`` raises, and of a service that takes no requests now.
    """
    service.admit()
    service.accepted += 1
    try:
        result = await answer(request)
        return result if isinstance(result, Response) else json_response(result)
    except (GoneError, ClientDisconnect):
        return Response(status_code=_GONE)
    except Problem:
        raise
    except Exception:
        log.exception("a request failed", extra={"request_id": request.scope["workzone"]["id"]})
        raise Problem("internal", "the request failed; the service's log says why") from None
    finally:
        service.accepted -= 1


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    told = request.scope["workzone"]
    told["code"] = problem.code
    await after_refusal(request, problem)
    return problem_response(problem, told["id"])


async def after_refusal(request: Request, problem: Problem) -> None:
    """Take what a client still sends of a body that is too large: it would miss the answer."""
    if problem.status == 413:
        await drain(request)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
    detail = f"{request.method} {request.url.path[:200]} is not answered here"
    if described := request.app.openapi_url:
        detail += f": see {described} for what is"
    return await _on_problem(request, Problem(code, detail, headers=error.headers))
