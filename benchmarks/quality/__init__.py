"""Figures of trained systems: `python -m benchmarks.quality SUITE --json FILE`."""
