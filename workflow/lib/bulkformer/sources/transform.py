"""Undoes what a provider did to its values, so that every reader hands over linear ones.

Some matrices hold logarithms: Xena log2(count + 1), DepMap log2(TPM + 1), others ln(x + 1). Which
it is cannot be seen from a single value, so the cohorts table states it, and values that cannot be
of the stated form are refused: a wrong base or offset would change every result silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, Counts, check_values


@dataclass(frozen=True)
class Transform:
    """A logarithm log_base(x + offset) of values x >= 0, and the range that it can take.

    Attributes
    ----------
    scale : what a logged value is multiplied by to become a natural logarithm
    zero : the logarithm of the offset, which stands for no expression
    lowest : that, less what rounding can take away
    highest : log of 2^40, more than any count or TPM
    """

    scale: float
    offset: float
    zero: float
    lowest: float
    highest: float


TRANSFORMS = {
    "log2(x+1)": Transform(np.log(2), 1.0, 0.0, 0.0, 40.0),
    "log2(x+0.001)": Transform(np.log(2), 0.001, np.log2(0.001), -9.97, 40.0),
    "ln(x+1)": Transform(1.0, 1.0, 0.0, 0.0, 40 * np.log(2)),
}
# Half a unit of the fourth digit, the coarsest that these files state. A zero that came back as
# 1e-10 would be counted as a detected gene.
ROUNDING = 5e-5


def linear(counts: Counts, transform: str, path: Path) -> Counts:
    """Return `counts` with finite, non-negative linear values, checked as they are read.

    Parameters
    ----------
    transform : "" for values that are linear as they stand, else a key of TRANSFORMS

    Raises InputError for an unknown transform at once, and while reading for the first value that
    is missing, infinite, or outside of what the transform can give.
    """
    if transform and transform not in TRANSFORMS:
        raise InputError(
            f"transform '{transform}' is unknown; known are {', '.join(TRANSFORMS)}, and nothing "
            "for values that were never logged"
        )
    if counts.can_skip and not transform:
        return counts  # such a reader checks the values that it is asked for

    def blocks(max_samples: int) -> Blocks:
        for sample_ids, values in counts.blocks(max_samples):
            if transform:
                values = undo(values, transform, sample_ids, counts.gene_ids, path)
            else:
                check_values(values, sample_ids, counts.gene_ids, path)
            yield sample_ids, values

    return Counts(counts.gene_ids, counts.samples, blocks)


def undo(
    values: np.ndarray,
    transform: str,
    sample_ids: Sequence[str],
    gene_ids: Sequence[str],
    path: Path,
) -> np.ndarray:
    """Return linear float64 [n, n_genes] of logged `values`; no expression is exactly 0.

    Where all values are whole numbers within the digits of the file, they are exactly that.

    Raises InputError naming gene and sample of the first value that `transform` cannot give.
    """
    form = TRANSFORMS[transform]
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return values
    # NaN fails both comparisons.
    if not (values.min() >= form.lowest and values.max() <= form.highest):
        _refuse(values, transform, sample_ids, gene_ids, path)
    if form.zero < 0 <= values.min() and (values == 0).any():
        raise InputError(
            f"{path}: transform is '{transform}', whose value for no expression is "
            f"{form.zero:.2f}, but no value of the samples '{sample_ids[0]}' to "
            f"'{sample_ids[-1]}' is below 0 and some are 0, as of log2(x+1); correct transform "
            "in the cohorts table"
        )
    restored = np.exp(values * form.scale)
    restored -= form.offset
    whole = np.rint(restored)
    if (np.abs(restored - whole) <= ROUNDING * form.scale * (whole + 1)).all():
        restored = whole  # counts, but for the digits that the logarithms were written with
    if form.zero:  # an offset of 1 gives back exact zeros by itself
        restored[values <= form.zero + ROUNDING] = 0
    return restored


def _refuse(
    values: np.ndarray,
    transform: str,
    sample_ids: Sequence[str],
    gene_ids: Sequence[str],
    path: Path,
) -> None:
    form = TRANSFORMS[transform]
    row, column = np.argwhere(~((values >= form.lowest) & (values <= form.highest)))[0]
    value = values[row, column]
    where = f"{path}: the value of gene '{gene_ids[column]}' in sample '{sample_ids[row]}' is"
    if np.isnan(value):
        raise InputError(f"{where} missing; leave out genes or samples that were not measured")
    hint = "leave transform empty if the file was never logged"
    if value < form.lowest:
        hint = "log2(x+0.001) goes down to -9.97; z-scores and centred values cannot be used"
    raise InputError(
        f"{where} {value:g}, and {transform} lies between {form.lowest:g} and {form.highest:.4g}; "
        f"correct transform in the cohorts table: {hint}"
    )
