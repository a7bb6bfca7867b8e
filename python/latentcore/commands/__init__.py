"""The sub-commands of `latentcore`, a file each: what is parsed on the command line comes here as plain arguments."""
