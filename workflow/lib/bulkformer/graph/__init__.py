"""Which genes are neighbours: co-expression, protein interactions, and their union."""
