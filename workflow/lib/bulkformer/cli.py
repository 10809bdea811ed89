"""Turns one typed function into the command line of a step.

Every step is `python -m bulkformer.<stage>.<step>`; its options, defaults and help come from the
signature and docstring of the function, so that rule, command and code cannot drift apart.
"""

import os
import sys
from collections.abc import Callable

import typer

from bulkformer.errors import InputError

# How long threads of OpenMP wait for each other by spinning, and what else may say so.
SPINNING, SHORT, POLICY = "GOMP_SPINCOUNT", "10000", "OMP_WAIT_POLICY"


def command(step: Callable[..., None]) -> None:
    """Run `step` with the arguments of this process.

    An `InputError` ends the process with status 1 and one line on stderr; other exceptions keep
    their traceback, because they are ours to mend.
    """
    if POLICY not in os.environ:
        # Threads that spin for long keep each other from the processors of a busy machine: beside
        # two busy processes a training step on two cores took 18 s, and 1 s with this. On an idle
        # one it takes as long either way. It is read once torch is loaded, which is after this.
        os.environ.setdefault(SPINNING, SHORT)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(step)
    try:
        app()
    except InputError as error:
        # What libraries say of a damaged file may quote several of its lines.
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(1)
