"""The point-in-time engine: what was known at each moment, exactly, for many rows at once.

`point_in_time_join` and `window_features` serve any DataFrame; the rooms of the stages add `published_windows`
and `lookup_join`. One shuffle per side brings the rows of an entity together (`buckets`); numpy kernels then work on
all entities of a bucket at once (`kernels`, `exact`, `ranks`), over Arrow and without a loop over rows.
"""
