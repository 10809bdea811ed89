"""What the server of processes loads before it forks: the step and all that it needs."""

import pandas
import pyarrow.dataset
import torch

from bulkformer.model import cost
from bulkformer.pretrain import loop, record, train

# Asking for anything executes the packages whose loading is postponed.
LOADED = (
    cost,
    loop,
    record,
    train,
    pandas.DataFrame,
    pyarrow.dataset,
    torch.nn.Module,
    torch.optim.AdamW,
)
