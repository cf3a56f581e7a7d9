"""Prints the crash matrix after a run of it: what a step that was killed there ends in."""

from typing import Any

import pytest

CRASH = "crash"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells: dict[str, dict[str, str]] = {}
    for each in _properties(terminalreporter):
        place, step, state = each
        cells.setdefault(place, {})[step] = state
    if not cells:
        return
    steps = list(dict.fromkeys(step for row in cells.values() for step in row))
    terminalreporter.section("killed at each boundary and run again: the state it ends in")
    terminalreporter.write_line(_line("boundary", steps))
    for place, row in cells.items():
        terminalreporter.write_line(_line(place, [row.get(step, "") for step in steps]))


def _properties(reporter: pytest.TerminalReporter) -> list[Any]:
    """Also from the reports of other workers, which carry nothing else."""
    reports = [each for name in ("passed", "failed") for each in reporter.stats.get(name, [])]
    found = [getattr(each, "user_properties", []) for each in reports if each.when == "call"]
    return [value for properties in found for name, value in properties if name == CRASH]


def _line(first: str, others: list[str]) -> str:
    return f"{first:24}" + "".join(f"{each:10}" for each in others)
