"""Seeds of single fits, from the seed of the run and whatever tells one fit from another.

Spelled out rather than counted up: to leave a head or a fold out changes no other fit.
"""

import hashlib


def fold_seed(*words: object) -> int:
    """Return a seed below 2³² that is the same in every run and differs with any of the words."""
    digest = hashlib.blake2b("|".join(map(str, words)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
