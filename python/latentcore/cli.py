"""The command `latentcore`. Torch and other heavy libraries are imported only where a command needs them."""

import sys
from collections.abc import Sequence
from importlib import import_module

from latentcore.commands.options import parser

_NO_MEMORY = ("can't allocate memory", "out of memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 where it went well, 1 with one line on standard error for bad input, 130 on Ctrl-C."""
    options = vars(parser().parse_args(arguments))
    module, function = options.pop("handler")
    try:
        getattr(import_module(f"latentcore.commands.{module}"), function)(**options)
    except KeyboardInterrupt as interruption:
        print(": ".join(["interrupted", *map(str, interruption.args)]), file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, FloatingPointError, OverflowError, ImportError) as error:
        return _failed(str(error))
    except MemoryError as error:
        return _failed(f"not enough memory: {error}" if str(error) else "not enough memory")
    except RuntimeError as error:  # which is what torch raises where memory ends
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        return _failed(f"not enough memory: {error}")
    return 0


def _failed(words: str) -> int:
    """One line, whatever a library's message or a file's name holds."""
    from latentcore._files import printable

    print(f"error: {printable(' '.join(words.split()))}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
