"""The command `latentcore`. Torch and other heavy libraries are imported only where a command needs them."""

import sys
from collections.abc import Sequence
from importlib import import_module

from latentcore.commands.options import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 where it went well, 1 with one line on standard error for bad input, 130 on Ctrl-C."""
    options = vars(parser().parse_args(arguments))
    module, function = options.pop("handler")
    try:
        getattr(import_module(f"latentcore.commands.{module}"), function)(**options)
    except KeyboardInterrupt as interruption:
        print(": ".join(["interrupted", *map(str, interruption.args)]), file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
