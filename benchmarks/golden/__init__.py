"""Golden runs: every preset of every system trained for a moment, and all that comes of it compared bit by bit.

    python -m benchmarks.golden --json before.json      # on the one commit
    python -m benchmarks.golden --compare before.json   # on the other one, on the same machine

Bits are those of a processor, its instruction sets and a version of torch, so no hashes are stored: two commits are
compared on one machine. `tests/golden/figures.json` has the figures of the same runs, which hold on all machines to a
tolerance (`--figures` writes it).

What knows the package is `runs.py` (the words of the command line) and `child.py` (its functions): they change where
names move, the rest reads files.
"""
