"""One benchmark task a name: `<task>_split` freezes its units, `<task>` predicts, `<task>_scores`
turns saved predictions into numbers and holds the task's description."""
