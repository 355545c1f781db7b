"""Pins, extras, hooks and the workflow name what there is, and agree with one another."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocol.version import VERSION

ROOT = Path(__file__).parents[3]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PINS = sorted(path.name for path in ROOT.glob("constraints*.txt"))
PACKAGES = [
    name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
]
PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def pins(name: str) -> dict[str, str]:
    """Package → version."""
    return dict(
        re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    )


def plain(requirements: list[str]) -> set[str]:
    """Names as pip-compile writes them, without extras and bounds."""
    names = {PLAIN.findall(text)[0].lower() for text in requirements}
    return {re.sub("[._]", "-", name) for name in names - {"mini-exchange"}}


def load_yaml(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load((ROOT / name).read_text())
    return content


@pytest.mark.parametrize("name", PINS)
def test_every_pin_has_a_hash_and_none_an_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    for entry in re.split(r"^(?=[\w.-]+(?:\[[\w,]+\])?==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry


def test_a_package_has_one_version_in_all_pins() -> None:
    assert {
        "constraints.txt",
        "constraints-client.txt",
        "constraints-dev.txt",
        "constraints-production.txt",
    } == set(PINS)
    everything = pins("constraints-dev.txt")
    for name in ("constraints.txt", "constraints-production.txt"):
        assert pins(name).items() <= everything.items()


def test_each_file_of_pins_has_what_it_is_for() -> None:
    core = plain(PROJECT["project"]["dependencies"])
    optional = plain(EXTRAS["local"] + EXTRAS["report"] + EXTRAS["export"])
    production = set(pins("constraints-production.txt"))
    assert core <= production
    assert not optional & production
    assert core | optional <= set(pins("constraints.txt"))
    assert plain(EXTRAS["dev"]) <= set(pins("constraints-dev.txt"))


def test_the_extra_for_developers_has_the_others_in_it() -> None:
    others = ",".join(sorted(set(EXTRAS) - {"dev"}))
    assert f"mini-exchange[{others}]" in EXTRAS["dev"]


def test_the_version_is_in_one_place() -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "protocol.version.VERSION"
    }
    assert f"\n## {VERSION} - " in (ROOT / "CHANGELOG.md").read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", VERSION)


def test_every_package_says_that_it_has_types() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file()


def test_everything_that_is_shipped_is_checked_and_measured() -> None:
    tools = PROJECT["tool"]
    processes = tomllib.loads((ROOT / "tests" / "coverage-processes.toml").read_text())["tool"]
    assert set(tools["importlinter"]["root_packages"]) == set(PACKAGES)
    assert {*PACKAGES, "tests"} <= set(tools["mypy"]["packages"])
    assert set(tools["coverage"]["run"]["source"]) == set(PACKAGES)
    assert set(processes["coverage"]["run"]["source"]) == set(PACKAGES)
    assert (
        processes["coverage"]["report"]["exclude_also"]
        == tools["coverage"]["report"]["exclude_also"]
    )


def test_the_hooks_run_the_programs_of_make_check_from_the_environment() -> None:
    repos = load_yaml(".pre-commit-config.yaml")["repos"]
    assert [repo["repo"] for repo in repos] == ["local"], "no other repository is named"
    entries = [hook["entry"].split() for hook in repos[0]["hooks"]]
    makefile = (ROOT / "Makefile").read_text()
    check = makefile.split("\ncheck:")[1].split("\n\n")[0]
    programs = re.findall(r"\$\(BIN\)/(\S+)", check)
    assert [Path(entry[0]).name for entry in entries] == programs
    assert {str(Path(entry[0]).parent) for entry in entries} == {".venv/bin"}


def test_the_workflow_runs_the_check_of_the_repository_and_nothing_else() -> None:
    workflow = load_yaml(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/(checkout|setup-python)@v\d+", name) for name in actions)
    assert workflow["permissions"] == {"contents": "read"}


def test_the_workflow_runs_on_versions_that_the_metadata_names() -> None:
    (job,) = load_yaml(".github/workflows/ci.yml")["jobs"].values()
    for version in job["strategy"]["matrix"]["python"]:
        assert f"Programming Language :: Python :: {version}" in PROJECT["project"]["classifiers"]
