"""Rows of the metrics table by what they are about, and tables of saved predictions."""

import pandas as pd

# Of the rows that are about all that was tested: single folds, repeats and groups have others.
WHOLE = {"fold": None, "repeat": None, "group": None}


def rows_of(metrics, **where):
    """Return the rows that `where` describes; None stands for an empty cell."""
    chosen = metrics
    for column, value in (WHOLE | where).items():
        chosen = chosen[chosen[column].isna() if value is None else chosen[column] == value]
    assert len(chosen), where
    return chosen


def one(metrics, **where):
    """Return the single row that `where` describes; it has value, ci_low and ci_high."""
    chosen = rows_of(metrics, **where)
    assert len(chosen) == 1, (where, len(chosen))
    return chosen.iloc[0]


def by_model(metrics, **where):
    """Return the rows that `where` describes by model, each of which has one."""
    table = rows_of(metrics, **where).set_index("model")
    assert table.index.is_unique, where
    return table


def predictions(results, task, protocol, model, **where):
    """Return the saved predictions of a model that `where` describes, names as plain text."""
    table = pd.read_parquet(results / f"evaluate/{task}/{protocol}/{model}/predictions.parquet")
    for column in table.columns[table.dtypes == "category"]:
        table[column] = table[column].astype(object)
    for column, value in where.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    assert len(table), where
    return table.reset_index(drop=True)
