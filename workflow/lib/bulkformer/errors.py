"""The one error that a user can mend.

Everything that bad input can cause is an `InputError`: its message names the file, the row or key,
and the remedy, and a step prints it as a single line. Any other exception is a defect of ours.
"""


class InputError(Exception):
    """Input that a user can correct; the message names the place and the remedy."""
