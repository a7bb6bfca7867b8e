"""Questions asked of trained systems, a file each."""
