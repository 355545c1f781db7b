"""``exchange status`` on a narrow terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from exchange.status import print_state
from protocol.partitions import partition_ranges

KINDS = ("matcher", "persister", "notifier")


def state(owners: dict[str, str | None], instances: dict[str, str], host: str) -> dict[str, Any]:
    numbers = {
        "symbols": 450,
        "open_orders": 1_234_567,
        "backlog": 20_000,
        "batch": 12_345_678,
        "to_store": 100_000,
        "to_notify": 100_000,
    }
    return {
        "history_id": "5fa1e4a29d3b47b1a9f2c6d87e001234",
        "execution_price": "maker",
        "partitions": [
            {"partition": f"p{number:02d}", "owners": owners, **numbers} for number in range(16)
        ],
        "workers": [
            {
                "kind": kind,
                "instance": instance,
                "host": host,
                "pid": 4_194_304,
                "seen_ms_ago": 600,
                "alive": True,
                "health": "no answer",
            }
            for instance, kind in instances.items()
        ],
    }


def shown(content: dict[str, Any]) -> str:
    output = io.StringIO()
    print_state(Console(file=output, width=80), content)
    return output.getvalue()


def test_eighty_columns_cut_nothing() -> None:
    names = {kind: f"{kind}-1" for kind in KINDS}
    instances = {f"{kind}-{n}": kind for kind in ("http", *KINDS) for n in (1, 16)}
    text = shown(state(dict(names), instances, "exchange-host"))
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for word in (*names.values(), *instances, "p00-p15", "12345678", "4194304", "no answer"):
        assert f" {word} " in text.replace("\n", " \n "), f"{word} is not whole:\n{text}"
    rows = [line for line in text.splitlines() if line.split()[:1] == ["p07"]]
    assert [row.split() for row in rows] == [
        ["p07", "450", "1234567", "20000", "12345678", "100000", "100000"]
    ]


def test_long_names_are_folded_and_not_cut() -> None:
    host = "a-container-with-a-name-of-its-own.example.internal"
    instance = f"{host}-4194304"
    text = shown(state(dict.fromkeys(KINDS, instance), {instance: "matcher"}, host))
    assert "…" not in text
    folded = "".join(text.split())
    for letters in ("a-container", "4194304"):
        assert letters in folded


def test_partitions_with_the_same_owners_share_a_row_and_a_missing_owner_is_named() -> None:
    content = state({kind: f"{kind}-1" for kind in KINDS}, {}, "h")
    content["partitions"][3]["owners"] = {"matcher": None, "persister": "p", "notifier": "n"}
    text = shown(content)
    assert "p00-p02 p04-p15" in text
    assert ["p03", "nobody", "p", "n"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([4], "p04"), ([0, 1, 2], "p00-p02"), ([0, 2, 3, 9], "p00 p02-p03 p09")],
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert partition_ranges(numbers) == text
