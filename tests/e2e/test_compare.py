"""``exchange compare``: every version starts, passes its checks, is killed and started again."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.baselines.contestants import PORT_RANGE, Contestant, SharedPostgres, free_port
from tests.support.running import EXCHANGE, clean_environment

SHARES = ("v1", "v2,v3", "streams")  # Side by side, because each mostly waits.
SECONDS_MAX = 300


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, Any]]]:
    """The folder and the content of the report of each share."""
    folders = [tmp_path_factory.mktemp("compare") for _ in SHARES]
    running = [_start(*share) for share in zip(SHARES, folders, strict=True)]
    try:
        for process, folder in zip(running, folders, strict=True):
            code = process.wait(SECONDS_MAX)
            assert code == 0, (folder / "output").read_text()
        yield [(folder, json.loads((folder / "compare.json").read_text())) for folder in folders]
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)  # So that it ends what it has started.
            process.wait(SECONDS_MAX)


def _start(versions: str, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [
                *(*EXCHANGE, "compare", "--versions", versions, "--scale", "4"),
                *("--duration", "2", "--report", str(folder)),
            ],
            env=clean_environment(COLUMNS="200"),
            stdout=output,
            stderr=output,
        )


@pytest.mark.timeout(SECONDS_MAX + 20)
def test_every_version_runs_and_what_a_kill_loses_is_counted(
    summaries: list[tuple[Path, Any]],
) -> None:
    results = {
        version: result
        for _, content in summaries
        for version, result in content["versions"].items()
    }
    assert list(results) == ["v1", "v2", "v3", "streams"]
    for version, result in results.items():
        assert "failed" not in result["checks"].values(), version
        assert "passed" in result["checks"].values(), version
        assert (result["errors"], result["refused"]) == (0, 0), version
        assert result["acknowledged"] > 18 * 40, "more than the orders of before the opening"
    # What is on disk before it is answered is not lost; what is flushed later may be.
    assert results["v1"]["lost"] == 0
    assert results["streams"]["lost"] == 0


def test_the_page_is_one_file_and_tells_the_set_up(summaries: list[tuple[Path, Any]]) -> None:
    folder, summary = summaries[1]
    page = (folder / "compare.html").read_text()
    assert list(summary["versions"]) == ["v2", "v3"]
    assert "<th>v2</th><th>v3</th>" in page
    assert "<script src" not in page
    assert summary["set_up"]["processor"] in page
    assert "p99 stays below 50 ms" in page


def test_a_version_starts_with_any_key(tmp_path: Path) -> None:
    with SharedPostgres(tmp_path) as postgres:
        tmp_path.chmod(0o755)
        contestant = Contestant("v3", tmp_path, postgres.url)
        contestant.admin_key = "-begins-with-a-dash"
        contestant.start()
        contestant.stop()


def test_the_port_of_a_version_cannot_be_taken_by_an_outgoing_connection() -> None:
    first, last = map(int, PORT_RANGE.read_text().split())
    assert not any(first <= free_port() <= last for _ in range(20))
