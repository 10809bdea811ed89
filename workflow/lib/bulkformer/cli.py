"""Turns one typed function into the command line of a step.

Every step is `python -m bulkformer.<stage>.<step>`; its options, defaults and help come from the
signature and docstring of the function, so that rule, command and code cannot drift apart.
"""

import sys
from collections.abc import Callable

import typer

from bulkformer.errors import InputError


def command(step: Callable[..., None]) -> None:
    """Run `step` with the arguments of this process.

    An `InputError` ends the process with status 1 and one line on stderr; other exceptions keep
    their traceback, because they are ours to mend.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(step)
    try:
        app()
    except InputError as error:
        # What libraries say of a damaged file may quote several of its lines.
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(1)
