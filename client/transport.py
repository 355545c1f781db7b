"""Between this package and httpx, for both kinds of client."""

import httpx

from client.calls import NoReply, Reply
from client.conversation import Send

NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


USER_AGENT = "mini-exchange-client"


def headers_of(step: Send, key: str) -> dict[str, str]:
    """The headers of a request."""
    headers = {
        "authorization": f"Bearer {key}",
        "user-agent": USER_AGENT,
        "x-request-id": step.request_id,
        **step.call.headers,
    }
    return headers | ({} if step.call.body is None else {"content-type": "application/json"})


def reply_of(answer: httpx.Response) -> Reply:
    return Reply(answer.status_code, answer.headers, answer.content)


def lost(error: httpx.RequestError) -> NoReply:
    """Without a connection nothing can have been sent; otherwise nobody knows."""
    return NoReply(error, was_sent=not isinstance(error, NEVER_SENT))
