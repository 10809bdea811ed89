"""The learning curve as it is drawn: the loss of a batch jumps, so a smooth line goes with it.

The history keeps every step; what is drawn has no more points than a screen has.
"""

from __future__ import annotations

import pandas as pd

POINTS = 1000
SMOOTHED_OVER = 0.02  # share of the run that the smooth line looks back on


def learning_curve(history: pd.DataFrame) -> pd.DataFrame:
    """Return at most POINTS training steps: step, loss, smooth_loss, learning_rate.

    The smooth loss is the mean of the losses so far, the later the heavier, so that it tells
    nothing of a step that was not yet taken.

    Parameters
    ----------
    history : one row a step or validation, with the columns step, split, loss, learning_rate
    """
    train = history[history["split"] == "train"].sort_values("step", kind="stable")
    span = max(1.0, SMOOTHED_OVER * len(train))
    train = train.assign(smooth_loss=train["loss"].ewm(span=span).mean())
    thinned = train.iloc[:: max(1, -(-len(train) // POINTS))]
    return thinned[["step", "loss", "smooth_loss", "learning_rate"]].reset_index(drop=True)
