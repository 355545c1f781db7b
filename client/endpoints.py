"""The webhook endpoints of a broker, and the messages that were sent to them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from client.answers import (
    AddedEndpoint,
    Delivery,
    DeliveryStatus,
    Endpoint,
    Listing,
    Page,
    QueuedMessage,
    RotatedSecret,
)
from client.calls import Call, Reply, body_of, json_of, path_of, read_of
from client.reads import PAGE_ITEMS

T = TypeVar("T")

Wanted = Literal["enabled", "disabled"]


def _endpoints() -> Call[Listing[Endpoint]]:
    return read_of("/webhook-endpoints", json_of(Listing[Endpoint]))


def _endpoint(endpoint_id: str) -> Call[Endpoint]:
    return read_of(path_of("webhook-endpoints", endpoint_id), json_of(Endpoint))


def _add(url: str, types: Sequence[str] | None) -> Call[AddedEndpoint]:
    body = {"url": url, "types": None if types is None else list(types)}
    return _once("POST", "/webhook-endpoints", json_of(AddedEndpoint), body)


def _change(
    endpoint_id: str, url: str | None, types: Sequence[str] | None, state: Wanted | None
) -> Call[Endpoint]:
    body = {"url": url, "types": None if types is None else list(types), "state": state}
    path = path_of("webhook-endpoints", endpoint_id)
    return Call(method="PATCH", path=path, read=json_of(Endpoint), body=body_of(body))


def _remove(endpoint_id: str) -> Call[None]:
    return _once("DELETE", path_of("webhook-endpoints", endpoint_id), lambda _: None)


def _rotate(endpoint_id: str) -> Call[RotatedSecret]:
    path = path_of("webhook-endpoints", endpoint_id, "rotate-secret")
    return _once("POST", path, json_of(RotatedSecret))


def _test(endpoint_id: str) -> Call[QueuedMessage]:
    return _once("POST", path_of("webhook-endpoints", endpoint_id, "test"), json_of(QueuedMessage))


def _resend(endpoint_id: str, message_id: str) -> Call[QueuedMessage]:
    path = path_of("webhook-endpoints", endpoint_id, "deliveries", message_id, "resend")
    return _once("POST", path, json_of(QueuedMessage))


def _deliveries(
    endpoint_id: str, status: DeliveryStatus, cursor: str | None
) -> Call[Page[Delivery]]:
    path = path_of("webhook-endpoints", endpoint_id, "deliveries")
    return read_of(path, json_of(Page[Delivery]), status=status, limit=PAGE_ITEMS, cursor=cursor)


def _once(
    method: str, path: str, read: Callable[[Reply], T], body: dict[str, Any] | None = None
) -> Call[T]:
    """A call that must not be sent again by itself: its second answer would be another one."""
    content = None if body is None else body_of(body)
    return Call(method=method, path=path, read=read, body=content, is_repeatable=False)


class EndpointMethods(ABC):
    """These methods are part of :class:`client.Exchange`."""

    @abstractmethod
    def _call(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]: ...

    def webhook_endpoints(self) -> tuple[Endpoint, ...]:
        """The own endpoints, oldest first."""
        return self._call(_endpoints()).data

    def webhook_endpoint(self, endpoint_id: str) -> Endpoint:
        """One of them."""
        return self._call(_endpoint(endpoint_id))

    def add_webhook_endpoint(
        self, url: str, *, types: Sequence[str] | None = None
    ) -> AddedEndpoint:
        """Add an endpoint, for trades alone where no ``types`` are named. Its secret is shown this
        once. An answer that was lost is not asked for again: look at the list then."""
        return self._call(_add(url, types))

    def change_webhook_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        state: Wanted | None = None,
    ) -> Endpoint:
        """Change what is named of an endpoint."""
        return self._call(_change(endpoint_id, url, types, state))

    def remove_webhook_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint. What waits for it is not sent any more."""
        return self._call(_remove(endpoint_id))

    def rotate_webhook_secret(self, endpoint_id: str) -> RotatedSecret:
        """Get a new secret. The old one signs too for 24 hours."""
        return self._call(_rotate(endpoint_id))

    def test_webhook_endpoint(self, endpoint_id: str) -> QueuedMessage:
        """Have a test message sent."""
        return self._call(_test(endpoint_id))

    def webhook_deliveries(self, endpoint_id: str, status: DeliveryStatus) -> Iterator[Delivery]:
        """The messages of an endpoint that wait, were delivered or have failed. They are read page
        by page while you iterate."""
        return self._pages(lambda cursor: _deliveries(endpoint_id, status, cursor))

    def resend_webhook_delivery(self, endpoint_id: str, message_id: str) -> QueuedMessage:
        """Have a message sent once more, with the same id and the same bytes."""
        return self._call(_resend(endpoint_id, message_id))


class AsyncEndpointMethods(ABC):
    """These methods are part of :class:`client.AsyncExchange`."""

    @abstractmethod
    async def _call(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]: ...

    async def webhook_endpoints(self) -> tuple[Endpoint, ...]:
        return (await self._call(_endpoints())).data

    async def webhook_endpoint(self, endpoint_id: str) -> Endpoint:
        return await self._call(_endpoint(endpoint_id))

    async def add_webhook_endpoint(
        self, url: str, *, types: Sequence[str] | None = None
    ) -> AddedEndpoint:
        return await self._call(_add(url, types))

    async def change_webhook_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        state: Wanted | None = None,
    ) -> Endpoint:
        return await self._call(_change(endpoint_id, url, types, state))

    async def remove_webhook_endpoint(self, endpoint_id: str) -> None:
        return await self._call(_remove(endpoint_id))

    async def rotate_webhook_secret(self, endpoint_id: str) -> RotatedSecret:
        return await self._call(_rotate(endpoint_id))

    async def test_webhook_endpoint(self, endpoint_id: str) -> QueuedMessage:
        return await self._call(_test(endpoint_id))

    def webhook_deliveries(
        self, endpoint_id: str, status: DeliveryStatus
    ) -> AsyncIterator[Delivery]:
        return self._pages(lambda cursor: _deliveries(endpoint_id, status, cursor))

    async def resend_webhook_delivery(self, endpoint_id: str, message_id: str) -> QueuedMessage:
        return await self._call(_resend(endpoint_id, message_id))
