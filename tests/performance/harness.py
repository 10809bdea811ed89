"""What the performance scripts share: timing, peak memory, one table, bars that may be missed.

A bar is a ratio or a size measured within one run, so that it says something on any machine; wall
times stand beside it for the reader. `finish` prints the figure last and sets the exit status.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow" / "lib"
MEGABYTE = 1e6
MEASURE = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
measured = {
    "seconds": time.perf_counter() - start,
    "peak": usage.ru_maxrss,
    "processor_seconds": usage.ru_utime + usage.ru_stime,
}
with open(sys.argv[1], "w") as file:
    json.dump(measured, file)
sys.exit(child.returncode)
"""


@dataclass(frozen=True)
class Row:
    """One measurement of the table.

    Attributes
    ----------
    name : what was measured
    seconds : median wall time, None where time was not the question
    peak_megabytes : peak resident memory, None where it was not measured
    note : anything else, such as "1.2 million lines" or "3,400 samples/s"
    """

    name: str
    seconds: float | None = None
    peak_megabytes: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A figure and the limit that it has to keep.

    Attributes
    ----------
    name : what the figure is
    figure : the measured value
    at_most, at_least : the limit; exactly one of the two
    unit : "x" for ratios, "GB", "s", ...
    """

    name: str
    figure: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "x"

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"the bar '{self.name}' needs one limit, at_most or at_least")

    @property
    def kept(self) -> bool:
        """Whether the figure keeps the limit; NaN never does."""
        if self.at_most is not None:
            return self.figure <= self.at_most
        return self.figure >= self.at_least

    @property
    def limit(self) -> str:
        """The limit in words."""
        sign, limit = ("<=", self.at_most) if self.at_least is None else (">=", self.at_least)
        return f"{sign} {limit:g} {self.unit}"


@dataclass(frozen=True)
class Usage:
    """What a child process took.

    Attributes
    ----------
    seconds : wall time
    processor_seconds : of all its threads; says what a loaded machine hides
    peak_megabytes : peak resident memory
    output : stdout and stderr
    status : exit status
    """

    seconds: float
    peak_megabytes: float
    output: str
    status: int
    processor_seconds: float = 0.0


def arguments(
    description: str, scratch: bool = False, parts: Sequence[str] = ()
) -> argparse.Namespace:
    """Return the arguments that every script takes: `check`, `scale`; where asked `folder`, `only`.

    `only` names some of the `parts` of a script that may run alone; all of them by default.
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--scale", choices=["small", "full"], default="full")
    if scratch:
        parser.add_argument(
            "--folder", type=Path, help="keep simulated files here and use them again"
        )
    if parts:
        parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    return parser.parse_args()


def environment() -> dict[str, str]:
    """Return the environment of a step: the library of this checkout on the path."""
    path = [str(LIBRARY), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median wall time of `function` over `repeats` calls."""
    return statistics.median(_once(function) for _ in range(repeats))


def interleaved(functions: dict[str, Callable[[], object]], repeats: int = 3) -> dict[str, float]:
    """Return {name: median wall time}; the functions take turns, so that load hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(_once(function))
    return {name: statistics.median(values) for name, values in times.items()}


def _once(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_rss_of(command: Sequence[str | Path], check: bool = True) -> Usage:
    """Run `command` in a child process with the library on its path and return what it took.

    The peak is what the kernel reports for this child alone (wait4). A child starts as a copy of
    its parent and inherits the parent's peak, so a small process stands between, and the peak holds
    whatever this one did before. Raises RuntimeError if the command fails and `check` is set.
    """
    with tempfile.NamedTemporaryFile() as file:
        run = subprocess.run(
            [sys.executable, "-c", MEASURE, file.name, *map(str, command)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = run.stdout.decode("utf-8", "replace")
        if check and run.returncode:
            raise RuntimeError(
                f"{' '.join(map(str, command))} ended with {run.returncode}:\n{output[-4000:]}"
            )
        measured = json.loads(Path(file.name).read_text())
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts kilobytes
    return Usage(
        measured["seconds"],
        measured["peak"] * unit / MEGABYTE,
        output,
        run.returncode,
        measured["processor_seconds"],
    )


def python(*parts: str | Path) -> list[str]:
    """Return a command of this interpreter."""
    return [sys.executable, *map(str, parts)]


def print_table(rows: Iterable[Row], title: str = "") -> None:
    """Print measurements as a Markdown table."""
    cells = [("measured", "seconds", "peak MB", "note")]
    for row in rows:
        took = "" if row.seconds is None else f"{row.seconds:.3f}"
        peak = "" if row.peak_megabytes is None else f"{row.peak_megabytes:,.0f}"
        cells.append((row.name, took, peak, row.note))
    _print(cells, title)


def check(bars: Sequence[Bar]) -> bool:
    """Print every bar with its limit, then the figures in one line; return whether all hold."""
    cells = [("bar", "figure", "limit", "")]
    for bar in bars:
        kept = "kept" if bar.kept else "MISSED"
        cells.append((bar.name, f"{bar.figure:.3g} {bar.unit}", bar.limit, kept))
    _print(cells, "")
    print("; ".join(f"{bar.name}: {bar.figure:.3g} {bar.unit}" for bar in bars))
    return all(bar.kept for bar in bars)


def finish(rows: Iterable[Row], bars: Sequence[Bar], enforce: bool, title: str = "") -> None:
    """Print table and bars, the figures last; exit with 1 if `enforce` is set and one is missed."""
    print_table(rows, title)
    if not check(bars) and enforce:
        sys.exit(1)


def _print(cells: list[tuple[str, ...]], title: str) -> None:
    if title:
        print(f"\n{title}")
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    print()
    for number, row in enumerate(cells):
        aligned = [
            cell.rjust(width) if at in (1, 2) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(aligned)} |")
        if number == 0:
            rule = [
                ("-" * (width - 1) + ":") if at in (1, 2) else "-" * width
                for at, width in enumerate(widths)
            ]
            print(f"| {' | '.join(rule)} |")
    print(flush=True)
