"""The ``exchange`` command."""

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.running import EXCHANGE, RunningExchange, clean_environment


def run(
    *arguments: str, cwd: Path | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXCHANGE, *arguments],
        cwd=cwd,
        env=clean_environment(**{"COLUMNS": "200"} | variables),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_demo_trades_and_balances_twice_in_a_row(exchange: RunningExchange) -> None:
    for _ in range(2):
        demo = exchange.run("demo", "--orders", "150")
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert "balances sum to 0" in demo.stdout


def test_the_demo_says_when_nothing_answers() -> None:
    demo = run("demo", "--url", "http://127.0.0.1:9", "--admin-key", "x")
    assert demo.returncode == 1
    assert "127.0.0.1:9" in demo.stderr


def test_status_shows_partitions_owners_and_workers(exchange: RunningExchange) -> None:
    status = exchange.run("status")
    assert status.returncode == 0, status.stdout
    for word in ("p00", "p15", "matcher-1", "persister-1", "notifier-1", "http-1"):
        assert word in status.stdout


def test_status_is_readable_on_eighty_columns_and_whole_as_json(exchange: RunningExchange) -> None:
    names = ("matcher-1", "persister-1", "notifier-1", "http-1")
    status = run("status", "--data", str(exchange.data), COLUMNS="80")
    assert status.returncode == 0, status.stdout + status.stderr
    assert "…" not in status.stdout
    for name in names:
        assert f" {name} " in status.stdout
    as_json = run("status", "--data", str(exchange.data), "--json")
    state = json.loads(as_json.stdout)
    assert state["passed"] is True
    assert [p["partition"] for p in state["partitions"]] == [f"p{n:02d}" for n in range(16)]
    owners = {"matcher": "matcher-1", "persister": "persister-1", "notifier": "notifier-1"}
    assert all(p["owners"] == owners for p in state["partitions"])
    health = {w["instance"]: (w["alive"], w["health"]) for w in state["workers"]}
    assert health == dict.fromkeys(names, (True, "ready"))
    assert "matcher-1" in as_json.stderr, "the tables are for people"


@pytest.mark.timeout(200)
def test_data_names_the_exchange_although_another_one_runs_here(
    exchange: RunningExchange, short_dir: Path
) -> None:
    exchange.run("demo", "--orders", "60")
    eventually(lambda: exchange.run("check").returncode == 0, 30, "a clean check")
    here = RunningExchange(short_dir / "here" / ".data")
    here.data.parent.mkdir()
    here.start()
    try:
        named = ("--data", str(exchange.data), "--json")

        def ask(*arguments: str) -> dict[str, Any]:
            answer: dict[str, Any] = json.loads(run(*arguments, cwd=here.data.parent).stdout)
            return answer

        ours, theirs = ask("status", "--json"), ask("status", *named)
        assert ours["history_id"] != theirs["history_id"]
        for state, options in ((ours, ("--json",)), (theirs, named)):
            checked = ask("check", *options)
            assert checked["passed"], checked
            assert state["history_id"] in checked["findings"][0]["what"]
        assert ask("verify-journal", "--json")["findings"][-1]["what"].startswith("0 commands")
        verified = ask("verify-journal", *named)
        assert verified["passed"], verified
        assert not verified["findings"][-1]["what"].startswith("0 commands")
        missing = run("check", "--data", "nobody", cwd=here.data.parent)
        assert (missing.returncode, missing.stdout) == (1, "")
        assert "no exchange runs in nobody" in missing.stderr
    finally:
        assert here.stop() == 0


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_the_files_of_a_day_have_its_orders_and_pass_their_checksums(
    exchange: RunningExchange, tmp_path: Path, file_format: str
) -> None:
    exchange.run("demo", "--orders", "60")
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
    options = ("--data", str(exchange.data), "--day", str(today), "--format", file_format)

    def written() -> list[str]:
        done = run("export", *options, "--output", str(tmp_path), "--json")
        assert done.returncode == 0, done.stderr
        files = json.loads(done.stdout)["files"]
        return [Path(file["path"]).name for file in files] if files[0]["rows"] >= 60 else []

    names = eventually(written, 30, "stored orders")
    assert names == [f"{table}-{today}.{file_format}" for table in ("orders", "trades")]
    check = ["sha256sum", "--check", *[f"{name}.sha256" for name in names]]
    assert subprocess.run(check, cwd=tmp_path, check=False).returncode == 0


def test_check_finds_what_was_changed_behind_its_back(exchange: RunningExchange) -> None:
    exchange.run("demo", "--orders", "60")
    database = exchange.addresses["database_url"]

    def clean() -> bool:
        return exchange.run("check").returncode == 0

    eventually(clean, 30, "a clean check")
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute("SELECT partition, broker_id FROM balances LIMIT 1").fetchone()
        assert row is not None
        add = "UPDATE balances SET cash = cash + %s WHERE partition = %s AND broker_id = %s"
        connection.execute(add, [1, *row])
        found = exchange.run("check")
        connection.execute(add, [-1, *row])
    assert found.returncode == 1
    assert "balances differ for 1 brokers" in found.stdout


def test_check_finds_a_changed_journal(exchange: RunningExchange) -> None:
    exchange.run("demo", "--orders", "60")
    database = exchange.addresses["database_url"]
    eventually(lambda: exchange.run("check").returncode == 0, 30, "a clean check")
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute("SELECT partition, number, batch FROM journal LIMIT 1").fetchone()
        assert row is not None
        partition, number, batch = row
        put = "UPDATE journal SET batch = %s WHERE partition = %s AND number = %s"
        connection.execute(put, [bytes(batch) + b"x", partition, number])
        found = exchange.run("check")
        connection.execute(put, [batch, partition, number])
    assert found.returncode == 1
    assert f"the hash chain breaks at batch {number}" in found.stdout


def test_a_second_exchange_in_the_same_directory_is_refused(exchange: RunningExchange) -> None:
    second = run("up", "--data", str(exchange.data), "--port", "1")
    assert second.returncode == 1
    assert "choose another --data" in second.stderr


def test_a_taken_port_is_refused_before_anything_starts(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    second = run("up", "--data", str(tmp_path / "d"), "--port", str(exchange.port))
    assert second.returncode == 1
    assert "choose --port" in second.stderr


def test_bench_prints_one_json_object() -> None:
    bench = run("bench", "book", "--json")
    assert bench.returncode == 0, bench.stderr
    result = json.loads(bench.stdout)
    assert result["book"]["operations_per_second"] > 0
    assert result["book"]["setup"]


@pytest.mark.parametrize("worker", ["ingress", "matcher", "persister", "notifier", "readapi"])
def test_a_misspelled_setting_of_a_worker_is_refused(worker: str) -> None:
    variables: dict[str, Any] = {f"EXCHANGE_{worker.upper()}_MISSPELLED": "1"}
    refused = run("run", worker, **variables)
    assert refused.returncode == 64
    assert "unknown setting" in refused.stderr


def test_an_unknown_worker_is_refused() -> None:
    assert run("run", "trader").returncode == 2


def test_a_worker_without_its_server_ends_and_says_so(tmp_path: Path) -> None:
    failed = run("run", "matcher", EXCHANGE_REDIS_URL=f"unix://{tmp_path}/none.sock")
    assert failed.returncode == 1
    assert "worker failed" in failed.stderr
