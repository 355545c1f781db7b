"""What an exchange in production does not offer, and does not tell."""

import asyncio

import httpx
import pytest

from ingress.service import create as create_ingress
from readapi.page.service import create as create_page
from readapi.service import create as create_readapi
from runtime.http.factory import create_app
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join
from tests.support.running import bearer


@pytest.mark.parametrize("env", ["production", "development"])
def test_debug_is_for_development_alone(channel: Channel, redis_url: str, env: str) -> None:
    settings = load(Settings, {}, redis_url=redis_url, admin_key="ak", instance="t", env=env)
    genesis = found_or_join(channel, settings)
    creators = [create_ingress, create_readapi, create_page]
    application = create_app(settings, genesis, creators, lambda error: pytest.fail(repr(error)))

    async def ask() -> dict[str, int]:
        transport = httpx.ASGITransport(application)
        async with (
            application.api.router.lifespan_context(application.api),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            document = (await client.get("/openapi.json")).json()
            shown = any(path.startswith("/debug") for path in document["paths"])
            assert shown == (env == "development")
            calls = (
                ("GET", "/debug/viewer-key"),
                ("GET", "/debug/market"),
                ("POST", "/debug/market"),
                ("GET", "/debug/trade-count"),
                ("POST", "/debug/reset"),
            )
            return {
                f"{method} {path}": (
                    await client.request(method, path, headers=bearer("no"))
                ).status_code
                for method, path in calls
            }

    statuses = asyncio.run(ask())
    if env == "production":
        assert set(statuses.values()) == {404}, statuses
    else:
        assert statuses.pop("GET /debug/viewer-key") == 200
        assert set(statuses.values()) == {401}, statuses
