"""One self-contained page out of run folders."""
