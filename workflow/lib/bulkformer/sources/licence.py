"""Some licences have to be accepted by the person who runs the workflow, by name, in the config."""

from collections.abc import Sequence

from bulkformer.errors import InputError


def check_accepted(
    name: str, accepted: Sequence[str], licence: str, licence_url: str, citation: str
) -> None:
    """Raise InputError if the source of "source/file" is not among those accepted.

    The message shows the licence, where it stands, what to cite, and the line for the config.
    """
    source = name.partition("/")[0]
    if source in accepted:
        return
    line = f"sources: {{accept_licence: [{', '.join(sorted({*accepted, source}))}]}}"
    raise InputError(
        f"{name}: the licence of {source} is to be accepted first: {licence or 'not stated'} "
        f"({licence_url or 'no address stated'}); to cite: {citation or 'not stated'}. If you "
        f"accept it, write in your config: {line}"
    )
