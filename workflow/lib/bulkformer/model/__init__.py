"""BulkFormer in plain PyTorch: the network of the paper and its successor `bulkformer-latest`.

Read in this order: `embedding`, `graph_convolution`, `attention_features`, `attention`,
`token_wise`, `performer`, `bulkformer`, `bulkformer_latest`; then `checkpoint` (our run folders),
`released` (the authors' files) and `cost`.
`from bulkformer.model import load_run` is all that another program needs to use a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulkformer.model.checkpoint import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: steps that import a part of this package must not wait for torch.
    if name != "load_run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bulkformer.model.checkpoint import load_run

    return load_run
