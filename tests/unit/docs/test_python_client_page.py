"""docs/reference/python-client.md lists every method and every attribute of the client."""

import inspect
import re
from pathlib import Path
from typing import get_args

from client import Exchange, Problem, events

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "python-client.md").read_text()


def test_the_page_lists_every_method_with_its_parameters() -> None:
    listed = {
        name: set(re.findall(r"\w+", re.sub(r"=\w+", "", parameters)))
        for name, parameters in re.findall(r"^\| `(\w+)\(([^)]*)\)` \|", PAGE, re.MULTILINE)
    }
    methods = {
        name: inspect.signature(method).parameters
        for name, method in inspect.getmembers(Exchange, inspect.isfunction)
        if not name.startswith("_")
    }
    assert listed.keys() == methods.keys()
    for name, parameters in methods.items():
        kept = {
            parameter
            for parameter in parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.name != "self"
        }
        assert {parameter.name for parameter in kept} <= listed[name], name


def test_the_page_lists_every_attribute_of_a_problem() -> None:
    section = PAGE.split("## `Problem`")[1].split("\n## ")[0]
    listed = {
        name
        for cell in re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE)[1:]
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert listed == set(vars(Problem("c", "d")))


def test_the_page_lists_every_event_of_the_feed() -> None:
    section = PAGE.split("## `Feed`")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert listed == {kind.__name__ for kind in get_args(events.FeedEvent)}
