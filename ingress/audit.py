"""The audit trail: every call with the admin key that may change something is in the registry.

The call is written down, on disk, before it is carried out; where that fails it is not carried out.
Its outcome follows as an entry of its own. Calls without the right key are logged and not written
down, because anybody could fill the registry with them, which is never trimmed.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ingress.refusals import registration_unknown
from protocol.audit import BODY_LENGTH_MAX, AdminAnswered, AdminCalled
from protocol.registry import RegistryEntry, RegistryEvent, hash_key
from runtime.http.callers import caller_of, client_address
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.redis.channel import AsyncChannel, NotConnected, RedisError
from runtime.redis.functions.register import register

log = logging.getLogger(__name__)

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class AuditTrail:
    """``channel`` writes to the registry."""

    def __init__(self, context: Context, channel: AsyncChannel) -> None:
        self._context = context
        self._channel = channel

    @property
    def route_class(self) -> type[APIRoute]:
        """For routers: what a request asks is carried out by :meth:`carry_out`."""
        trail = self

        class AuditedRoute(APIRoute):
            def get_route_handler(self) -> Handle:
                handle = super().get_route_handler()

                async def audited(request: Request) -> Response:
                    return await trail.carry_out(request, handle)

                return audited

        return AuditedRoute

    async def carry_out(self, request: Request, handle: Handle) -> Response:
        """Answer the request. Raises what ``handle`` raises, and a problem where the call could not
        be written down."""
        if not self._context.keyring.is_admin(caller_of(request).authorization):
            log.warning("an admin call without the admin key", extra=self._who(request))
            return await handle(request)  # It refuses.
        if request.method == "GET":
            return await handle(request)
        call = await self._write(await self._called(request))
        try:
            response = await handle(request)
        except Exception as error:
            await self._answered(call, status_of(error))
            raise
        await self._answered(call, response.status_code)
        return response

    def _who(self, request: Request) -> dict[str, str]:
        address = client_address(caller_of(request), self._context.trusted_proxies)
        return {
            "address": "" if address is None else str(address),
            "request_id": request.scope["state"]["request_id"],
            "method": request.method,
            "path": request.url.path,
        }

    async def _called(self, request: Request) -> AdminCalled:
        body = await request.body()
        return AdminCalled(
            time_ms=_now_ms(),
            key_id=hash_key(self._context.settings.admin_key)[:16],
            body=body.decode("utf-8", "replace")[:BODY_LENGTH_MAX],
            body_hash=hashlib.sha256(body).hexdigest(),
            **self._who(request),
        )

    async def _answered(self, call: int, status: int) -> None:
        """The call is done, so a trail that cannot be written does not change its answer."""
        try:
            await self._write(AdminAnswered(_now_ms(), call, status))
        except (Problem, NotConnected) as error:
            lost = {"call": call, "status": status, "error": str(error)}
            log.error("the outcome of a call is not in the audit trail", extra=lost)

    async def _write(self, event: RegistryEvent) -> int:
        entry = RegistryEntry([event])
        try:
            return await self._context.call(
                self._channel, lambda genesis: register(genesis.history_id, entry)
            )
        except NotConnected:
            raise
        except RedisError as error:
            raise registration_unknown(error) from error


def status_of(error: Exception) -> int:
    """The status with which the error will be answered."""
    match error:
        case Problem():
            return error.status
        case RequestValidationError():
            return 422
        case HTTPException():
            return error.status_code
        case RedisError():
            return 503
        case _:
            return 500


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
