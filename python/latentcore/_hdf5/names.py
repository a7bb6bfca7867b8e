"""What is said of a damaged file."""

from collections.abc import Iterator
from contextlib import contextmanager

from latentcore import _errors
from latentcore._files import printable

# what h5py raises of files that are damaged, or hold what NumPy has no name for
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError, MemoryError)


def reason(error: BaseException) -> str:
    """The first line of an error's words."""
    text = str(error)
    return printable(text.splitlines()[0]) if text else type(error).__name__


@contextmanager
def naming(name: str, expected: str) -> Iterator[None]:
    """Whatever h5py raises inside is one kind of ValueError; those that begin with the name are left as they are."""
    try:
        yield
    except ERRORS as error:
        if isinstance(error, ValueError) and str(error).startswith(name):
            raise
        _errors.fail_value(name, expected, reason(error))
