"""A link to a real Redis."""

import asyncio

from runtime.redis.link import Link


def test_a_pipeline_without_commands_is_answered_and_hurts_no_other(redis_url: str) -> None:
    async def ask() -> None:
        link = Link(redis_url, "tests", timeout_seconds=1.0)
        asked = [link.pipeline(commands).future() for commands in ([("PING",)], [], [("PING",)])]
        assert await asyncio.gather(*asked) == [[b"PONG"], [], [b"PONG"]]
        assert await link.pipeline([]).future() == []
        await link.close()

    asyncio.run(ask())
