"""Original and optimized on the same databases, and the floor: the same rows through bare SQL.

`make bench` runs it; docs/benchmarks.md says what is measured and how.
"""
