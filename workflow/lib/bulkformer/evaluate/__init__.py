"""How good each model is, by which protocol, against what: splits, heads, predictions, metrics."""
