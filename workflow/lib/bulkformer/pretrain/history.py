"""The learning curve of a run under way, in columns.

Half a million steps as one dictionary each would take 180 MB in every process, and half a minute
to read from a checkpoint; as columns they are a few arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

COUNTS = ("step", "epoch")
NUMBERS = (*COUNTS, "mask_fraction", "loss", "learning_rate")


def _empty() -> dict[str, list[Any]]:
    return {name: [] for name in (*NUMBERS, "split")}


@dataclass
class History:
    """One row a training step, and one for each split and share hidden of a validation.

    Attributes
    ----------
    columns : those of history.parquet; `mask_fraction` is None in a training step
    """

    columns: dict[str, list[Any]] = field(default_factory=_empty)

    def append(self, **row: Any) -> None:
        """Append one row, which has every column."""
        for name, values in self.columns.items():
            values.append(row[name])

    def recent_losses(self, n: int) -> list[float]:
        """Return the losses of the last `n` training steps, the last one first."""
        rows = zip(reversed(self.columns["loss"]), reversed(self.columns["split"]), strict=True)
        return list(islice((loss for loss, split in rows if split == "train"), n))

    def packed(self) -> dict[str, Any]:
        """Return the history as tensors, for a checkpoint."""
        splits = list(dict.fromkeys(self.columns["split"]))
        number = {split: place for place, split in enumerate(splits)}
        shares = [math.nan if share is None else share for share in self.columns["mask_fraction"]]
        columns = self.columns | {"mask_fraction": shares}
        packed = {
            name: torch.tensor(
                columns[name], dtype=torch.int64 if name in COUNTS else torch.float64
            )
            for name in NUMBERS
        }
        codes = torch.tensor([number[split] for split in columns["split"]], dtype=torch.uint8)
        return packed | {"split": codes, "splits": splits}

    @classmethod
    def unpacked(cls, packed: dict[str, Any]) -> History:
        """Return the history that `packed` wrote."""
        columns = {name: packed[name].tolist() for name in NUMBERS}
        columns["mask_fraction"] = [
            None if math.isnan(share) else share for share in columns["mask_fraction"]
        ]
        columns["split"] = [packed["splits"][code] for code in packed["split"].tolist()]
        return cls(columns)
