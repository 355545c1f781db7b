"""Putting the application together: context, services, FastAPI, and the ASGI callable around it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.responses import Response

from protocol.version import VERSION
from runtime.http import health
from runtime.http.asgi import Application
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.introduction import DESCRIPTION, TITLE
from runtime.http.openapi import document
from runtime.http.problems import handle_problems
from runtime.http.service import Service
from runtime.process.settings import Settings
from runtime.redis.genesis import Genesis

ServiceCreator = Callable[[Context], Service]


def create_app(
    settings: Settings,
    genesis: Genesis,
    creators: Sequence[ServiceCreator],
    on_failure: Callable[[Exception], None],
) -> Application:
    """One application out of one or more services that share a context. ``on_failure`` is called
    with the error after which the process cannot go on, see :class:`Context`."""
    context = Context(settings, genesis, on_failure)
    services = [*(create(context) for create in creators), health.create(context)]
    # Its /docs brings its own script and style, for networks that reach no CDN.
    api = FastAPIOffline(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        lifespan=_lifespan(context, services),
        redoc_url=None,
        redirect_slashes=False,
    )
    for service in services:
        api.include_router(service.router)
    endpoints = [endpoint for service in services for endpoint in service.endpoints]
    _refuse_other_methods(api, endpoints)
    document(api, services)
    handle_problems(api)
    sockets = {path: opener for one in services for path, opener in one.sockets.items()}
    stopping = [service.stopping for service in services]
    return Application(api, endpoints, context.rate_limits, sockets, stopping)


def _lifespan(
    context: Context, services: Sequence[Service]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
        await context.start()
        for service in services:
            await service.start()
        yield
        for service in reversed(services):
            await service.stop()
        await context.close()

    return lifespan


def _refuse_other_methods(api: FastAPI, endpoints: Sequence[Endpoint]) -> None:
    """Make FastAPI answer 405, not 404, where the path of a hot endpoint is called with a method
    that it does not have. The right methods never reach FastAPI."""
    for path in dict.fromkeys(endpoint.path for endpoint in endpoints):
        methods = [endpoint.method for endpoint in endpoints if endpoint.path == path]
        api.add_route(path, _unreachable, methods=methods, include_in_schema=False)


async def _unreachable(_request: Request) -> Response:
    raise AssertionError("the endpoint table answers this path")
