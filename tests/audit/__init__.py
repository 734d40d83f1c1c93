"""An audit of a finished study: stored numbers made anew from raw rows, by other means than the product's.

`python -m tests.audit DATABASE [STUDY]` prints, by kind of number, how many were compared, how many could not
be made anew and why, and the largest difference; it ends with 1 where a difference exceeds its tolerance.
Nothing of `hormesis.pipeline.statistics` and `hormesis.pipeline.claims` is imported: rules are read from
their texts; quantiles, fits and root finding come from numpy, scipy and pandas.
"""
