"""Figures with how to get them: `python -m benchmarks`. Nothing here is an assertion."""
