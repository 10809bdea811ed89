"""How long a step takes to start: `--help` of every step, the median of three.

A demo has a hundred steps, so what each one imports before it works is paid a hundred times.
"""

from __future__ import annotations

import re
from functools import partial

from harness import LIBRARY, Bar, Row, arguments, finish, peak_rss_of, python, seconds

LIMIT = 0.5  # seconds
STEP = re.compile(r"^\s+command\(\w+\)", re.MULTILINE)


def steps() -> list[str]:
    """Return the modules that are steps: those that hand a function to `cli.command`."""
    return sorted(
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        for path in LIBRARY.rglob("*.py")
        if STEP.search(path.read_text())
    )


def main() -> None:
    options = arguments(__doc__)
    repeats = 3 if options.scale == "full" else 1
    names = steps()
    peak_rss_of(python("-m", names[0], "--help"))  # compiles what all steps share
    rows = []
    for name in names:
        help_of_step = python("-m", name, "--help")
        rows.append(Row(name, seconds(partial(peak_rss_of, help_of_step), repeats)))
    rows.sort(key=lambda row: -row.seconds)
    slowest = rows[0]
    bars = [Bar(f"slowest --help ({slowest.name})", slowest.seconds, at_most=LIMIT, unit="s")]
    finish(rows, bars, options.check, "Seconds until a step has printed its help")


if __name__ == "__main__":
    main()
