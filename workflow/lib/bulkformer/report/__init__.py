"""What may a reader conclude? Views of the metrics table and of what every stage said about itself.

Nothing is computed here: rows are selected, sorted, rounded and shown.
"""
