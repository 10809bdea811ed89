"""A small universe with known truth, written in the providers' own formats."""
