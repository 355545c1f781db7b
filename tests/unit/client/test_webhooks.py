"""Webhooks are verified as Standard Webhooks 1.0 has it."""

import base64
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks

from client import InvalidWebhook, verify_webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
BODY = (
    b'{"type": "trade.executed", "timestamp": "2026-11-23T13:00:00.250+00:00", "price": 1000,'
    b' "data": {"last_price": 1000}}'
)
SENT = 1795438800


def headers(body: bytes = BODY, secret: str = SECRET, message_id: str = "m1") -> dict[str, str]:
    """As the library of the standard signs."""
    at = datetime.fromtimestamp(SENT, UTC)
    signature = standardwebhooks.Webhook(secret).sign(message_id, at, body.decode())
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(SENT),
        "Webhook-Signature": signature,
    }


def test_a_message_that_the_standard_has_signed_is_believed() -> None:
    webhook = verify_webhook(SECRET, headers(), BODY, now=SENT + 299)
    assert (webhook.id, webhook.type) == ("m1", "trade.executed")
    assert webhook.timestamp == datetime(2026, 11, 23, 13, 0, 0, 250_000, UTC)
    assert webhook.data == {"last_price": 1000}
    assert webhook.body == json.loads(BODY)


def test_a_secret_may_rotate_on_either_side() -> None:
    two = headers()
    two["Webhook-Signature"] += " " + headers(secret=OTHER)["Webhook-Signature"]
    for secrets in (SECRET, OTHER, [OTHER, SECRET]):
        assert verify_webhook(secrets, two, BODY, now=SENT).id == "m1"
    assert verify_webhook([OTHER, SECRET], headers(), BODY, now=SENT).id == "m1"


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, BODY.replace(b"1000", b"1001")),
        ({"Webhook-Id": "m2"}, BODY),
        ({"Webhook-Timestamp": str(SENT + 1)}, BODY),
        ({"Webhook-Timestamp": "now"}, BODY),
        ({"Webhook-Signature": "v2," + "A" * 43 + "="}, BODY),
        ({"Webhook-Signature": "v1,é"}, BODY),
        ({"Webhook-Signature": ""}, BODY),
    ],
)
def test_whatever_was_changed_is_noticed(changed: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(SECRET, headers() | changed, body, now=SENT)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_message_without_one_of_the_headers_is_not_believed(name: str) -> None:
    without = {other: value for other, value in headers().items() if other != name}
    with pytest.raises(InvalidWebhook, match=name.lower()):
        verify_webhook(SECRET, without, BODY, now=SENT)


@pytest.mark.parametrize("away", [-301, 301])
def test_a_message_of_another_time_is_not_believed(away: int) -> None:
    with pytest.raises(InvalidWebhook, match="301 s away"):
        verify_webhook(SECRET, headers(), BODY, now=SENT + away)


def test_a_message_of_another_sender_is_not_believed() -> None:
    with pytest.raises(InvalidWebhook, match="is this the secret"):
        verify_webhook(OTHER, headers(), BODY, now=SENT)


def test_a_body_that_is_no_message_is_not_believed() -> None:
    with pytest.raises(InvalidWebhook, match="no message"):
        verify_webhook(SECRET, headers(b"[]"), b"[]", now=SENT)


def test_a_secret_that_is_none_is_the_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="base64"):
        verify_webhook("whsec_%", headers(), BODY, now=SENT)
