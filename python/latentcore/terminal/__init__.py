"""What is written on the terminal, and read from its words. Nothing of this package is imported here but `_errors`."""
