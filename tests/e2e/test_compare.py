"""``exchange compare``: every version starts, passes its checks, is killed and started again."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.running import EXCHANGE, clean_environment


@pytest.mark.timeout(400)
def test_every_version_runs_and_what_a_kill_loses_is_counted(tmp_path: Path) -> None:
    done = subprocess.run(
        [*EXCHANGE, "compare", "--scale", "2", "--duration", "2", "--report", str(tmp_path)],
        env=clean_environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "compare.json").read_text())["versions"]
    assert list(results) == ["v1", "v2", "v3", "streams"]
    for version, result in results.items():
        assert "failed" not in result["checks"].values(), version
        assert "passed" in result["checks"].values(), version
        assert result["errors"] == 0, version
        assert result["acknowledged"] > 0, version
    # What is on disk before it is answered is not lost; what is flushed later may be.
    assert results["v1"]["lost"] == 0
    assert results["streams"]["lost"] == 0
    page = (tmp_path / "compare.html").read_text()
    assert "<script src" not in page
