"""What each model makes of a cohort: one vector a sample, or predictions for hidden values.

Read in this order: `interface`, `registry`, then any model; `fit` and `embed` are the two steps.
"""
