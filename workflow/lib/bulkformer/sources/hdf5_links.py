"""HDF5 files from outside must hold their content themselves.

The format lets a part of a file be a link into another file, or a window on one; a file that was
fetched could so read any file of the person who opens it. No provider does that for good reasons.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from bulkformer.errors import InputError

MAX_DEPTH = 8  # of groups; AnnData uses four


def check_links(group: h5py.Group, name: str, path: Path, depth: int = 0) -> None:
    """Raise InputError if `name`, or anything below it, is a link or lies in another file.

    A part that is not there is no concern of this check.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return
    plain = isinstance(link, h5py.HardLink) and depth < MAX_DEPTH
    node = group[name] if plain else None
    if not plain or (isinstance(node, h5py.Dataset) and (node.external or node.is_virtual)):
        raise InputError(
            f"{path}: '{name}' is a link, or lies in another file; write the file again as one"
        )
    if isinstance(node, h5py.Group):
        for child in node:
            check_links(node, child, path, depth + 1)
