"""Which samples belong together: what shares a study, a patient or a donor, also through others.

Splits of the corpus and of every benchmark rest on this one function.
"""

from collections.abc import Sequence


def connected_components(keys: Sequence[Sequence[str]]) -> list[str]:
    """Return the component of each list of keys; lists that share any key are in one.

    A component bears the alphabetically first of its keys, whatever the order of the lists. Every
    list needs at least one key.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for own in keys:
        for key in own:
            parent.setdefault(key, key)
            first, second = sorted((root(own[0]), root(key)))
            parent[second] = first
    return [root(own[0]) for own in keys]
