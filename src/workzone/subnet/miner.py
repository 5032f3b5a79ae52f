"""A miner: the service, answering signed challenges of validators on both wires."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from workzone.report.answer import where
from workzone.run.model_choice import ModelChoice
from workzone.serve.app import after_refusal, answered, api
from workzone.serve.config import MEGABYTE, Limits, ServeConfig
from workzone.serve.gate import log_json
from workzone.serve.orders import image_bytes, read_json
from workzone.serve.pictures import check_picture, check_still
from workzone.serve.problems import Problem, json_response
from workzone.serve.reading import drain
from workzone.serve.server import Server, make_server, run
from workzone.serve.service import Service
from workzone.serve.wire import Order
from workzone.subnet.callers import REFRESH, Callers, ListedCallers, RegisteredCallers
from workzone.subnet.chain import Chain
from workzone.subnet.rates import Admission, Rates
from workzone.subnet.replays import Replays
from workzone.subnet.wire import btauth, legacy
from workzone.subnet.wire.asking import ADDRESSES
from workzone.subnet.wire.claim import Claim, Refused
from workzone.subnet.wire.posting import NO_ANSWER

SQUARE_SIZE = 384
"""Shorter side in pixels at which the default model sees a square of 224: on photographs of sources
that it has never seen the reward is as at its usual 576 (docs/judge/accuracy.md), in half the time.
"""
PORT = 8091
"""As bittensor's own axons have it."""
_IN_TIME = 0.9
"""Share of the time that a caller waits which an answer may take."""
_DRAIN_BYTES = 256_000
"""Of a body that is refused unread; a square's is smaller."""
_PLAIN = (str, int, float, bool, type(None))


def miner_model(choice: ModelChoice) -> ModelChoice:
    """The choice of a model, with the view size for squares where neither is named."""
    if choice.model is not None or choice.size is not None:
        return choice
    return replace(choice, size=SQUARE_SIZE)


def miner_limits(*, deadline: float = 8.0, queue: int = 128) -> Limits:
    """The limits of a service that judges squares of 224 pixels.

    Args:
        deadline: seconds from a challenge's arrival to its answer; validators wait nine.
        queue: images that may wait.

    Raises:
        UsageError: out of range.
    """
    return Limits(
        body_bytes=2 * MEGABYTE,
        batch_bytes=2 * MEGABYTE,
        batch_parts=1,
        pixels=4 * MEGABYTE,
        queue=queue,
        held_bytes=256 * MEGABYTE,
        deadline_seconds=deadline,
        header_seconds=5.0,
        body_seconds=5.0,
        send_seconds=5.0,
        worker_seconds=2 * deadline,
        drain_seconds=deadline + 2,
    )


@dataclass(frozen=True, kw_only=True)
class MinerConfig:
    """What a miner is beside its service."""

    hotkey: str
    """Its own address: what was signed for another is refused."""
    model_url: str = ""
    """Of its model's repository, for validators that ask for it."""
    rates: Rates = field(default_factory=Rates)


class Miner:
    """Answers challenges with the workers of a service."""

    def __init__(
        self, service: Service, config: MinerConfig, callers: Callers, replays: Replays
    ) -> None:
        self._service, self._config = service, config
        self._callers, self._replays = callers, replays
        self._admission = Admission(config.rates)

    def router(self) -> APIRouter:
        """The addresses of the subnet's synapses."""
        router = APIRouter(include_in_schema=False)
        for address in ADDRESSES:
            router.add_api_route(address, self.answer, methods=["POST"])
        return router

    async def answer(self, request: Request) -> Response:
        """A prediction, or a refusal in the wire's own form."""
        try:
            return await answered(request, self._service, self._predicted)
        except Problem as problem:
            await after_refusal(request, problem)
            status = 422 if problem.status in (400, 415) else problem.status
            return _refusal(request, Refused(status, problem.code, problem.detail, problem.headers))

    async def _predicted(self, request: Request) -> Response:
        try:
            return await self._prediction(request)
        except Refused as refused:
            if not await drain(request, _DRAIN_BYTES):
                refused.headers["Connection"] = "close"
            return _refusal(request, refused)

    async def _prediction(self, request: Request) -> Response:
        """What needs no body is refused without one; a caller is charged for what it signed."""
        told, limits = request.scope["workzone"], self._service.config.limits
        claim = _claim(request)
        if why := self._callers.why_not(claim.hotkey):
            raise Refused(403, "unknown-caller", why)
        claim.check_receiver(self._config.hotkey)
        claim.check_fresh(time.time_ns())
        waits = _IN_TIME * (claim.seconds or float("inf"))
        deadline = told["begin"] + min(limits.deadline_seconds, waits)
        most, address = limits.body_bytes, request.client.host if request.client else ""
        with self._service.body(request, most=most, deadline=deadline, proven=False) as body:
            async with self._admission.unknown(address, deadline):
                data = await body.read()
                claim.check_signature(data, self._config.hotkey)
                body.prove()
            told["caller"] = claim.hotkey
            fields = _fields(data)
            claim.check_fields(fields)
            if not await asyncio.to_thread(self._replays.accept, claim.once, claim.nonce):
                raise Refused(401, "replay", "this request was accepted before: sign a new nonce")
            with self._admission.known(claim.hotkey):
                order = _order(fields, limits)
                fields |= await self._judged(request, order, deadline)
        return json_response(fields, headers=_headers(request, 200, "Success"))

    async def _judged(self, request: Request, order: Order, deadline: float) -> dict[str, Any]:
        """The fields of the answer: in 0..1, or `NO_ANSWER` where it is not there in time."""
        extended = request.url.path == ADDRESSES[1]
        more: dict[str, Any] = {"model_url": self._config.model_url} if extended else {}
        try:
            said = await self._service.judged(request, order, deadline)
        except Problem as problem:
            if problem.code != "deadline":
                raise
            request.scope["workzone"]["code"] = problem.code
            return more | {"prediction": NO_ANSWER}
        if not 0 <= said["probability"] <= 1:  # NaN is not either
            raise ValueError(f"the model gave {said['probability']} for a probability")
        if extended and said["decision"] == "roadwork":
            more |= {"explanation": f"evidence of road work, strongest {where(said['box'])}"}
        return more | {"prediction": float(said["probability"])}


def _claim(request: Request) -> Claim:
    """The claim of a request, on the wire that its headers speak."""
    headers = request.headers
    if not btauth.is_btauth(headers):
        return legacy.read_claim(headers)
    path, query = request.scope["raw_path"], request.scope["query_string"]
    target = (path + b"?" + query if query else path).decode("latin-1")
    return btauth.read_claim(headers, method=request.method, target=target)


def _fields(data: bytes) -> dict[str, Any]:
    """The fields of a synapse.

    Raises:
        Problem: it is none.
    """
    value = read_json(data, "the body")
    if not isinstance(value, dict) or not isinstance(value.get("image"), str):
        raise Problem("bad-request", 'the body is no synapse: send {"image": "the file in base64"}')
    return {name: part for name, part in value.items() if _is_plain(part)}


def _is_plain(part: Any) -> bool:
    """Whether a field may be sent back: a value, or a mapping of values, as synapses have them."""
    if isinstance(part, dict):
        return all(isinstance(value, _PLAIN) for value in part.values())
    return isinstance(part, _PLAIN)


def _order(fields: Mapping[str, Any], limits: Limits) -> Order:
    """What a worker is asked.

    Raises:
        Problem: the image is none.
    """
    data = image_bytes(fields["image"])
    check_picture(data, most_pixels=limits.pixels, most_scans=limits.scans)
    check_still(data)
    return Order("challenge", data)


def _headers(request: Request, status: int, message: str) -> dict[str, str]:
    """What the wire wants beside the body."""
    if btauth.is_btauth(request.headers):
        return {}
    seconds = time.monotonic() - request.scope["workzone"]["begin"]
    return legacy.answer_headers(status, message, seconds)


def _refusal(request: Request, refused: Refused) -> Response:
    request.scope["workzone"]["code"] = refused.code
    headers = refused.headers | _headers(request, refused.status, str(refused))
    return json_response({"message": str(refused)}, status=refused.status, headers=headers)


def make_miner(
    config: ServeConfig, miner: MinerConfig, callers: Callers, replays: Replays
) -> Server:
    """A miner that has not started.

    Beside challenges it answers `/livez` and `/readyz`, and the rest of the service to holders of
    its tokens; without tokens to nobody.

    Raises:
        UsageError: the tokens cannot be read.
    """

    def routers(service: Service) -> Sequence[APIRouter]:
        own = Miner(service, miner, callers, replays).router()
        return [own] if config.tokens is None else [own, api(service)]

    return make_server(config, routers)


def mine(
    config: ServeConfig,
    miner: MinerConfig,
    chain: Chain,
    *,
    state: Path,
    allow: Path | None = None,
    stake: float = 0.0,
    permit: bool = True,
    refresh: float = REFRESH,
) -> None:
    """Answer challenges until SIGTERM or Ctrl-C.

    Args:
        config: of the service.
        miner: what it is beside.
        chain: whose metagraph names the callers.
        state: folder of accepted requests, and of the chain's last good answer.
        allow: file of callers, in place of the metagraph.
        stake: the least of a caller.
        permit: whether callers need a validator's permit.
        refresh: seconds between two looks at the metagraph.

    Raises:
        UsageError: the callers or tokens cannot be read, or the address cannot be listened at.
        WorkzoneError: the model cannot be loaded, nothing can be written to ``state``, or the chain
            does not answer and never did.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(log_json())
        callers: Callers
        if allow is not None:
            callers = ListedCallers(allow)
        else:
            registered = RegisteredCallers(
                chain, state / "metagraph.json", stake=stake, permit=permit
            )
            registered.load()
            stack.enter_context(registered.refreshed(refresh))
            callers = registered
        replays = stack.enter_context(contextlib.closing(Replays(state / "accepted.sqlite")))
        run(make_miner(config, miner, callers, replays))
