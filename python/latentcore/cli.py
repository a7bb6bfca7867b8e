"""The command `latentcore`. Torch and other heavy libraries are imported only where a command needs them."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from latentcore import _extras, systems
from latentcore._catalogue import did_you_mean
from latentcore.terminal.parsing import left_out, table
from latentcore.training.system import Command, resolved

_NO_MEMORY = ("can't allocate memory", "out of memory")
_ABOUT = "Fused kernels for latent-variable models, and the programs that stand on them."

_COMMANDS = {
    "train": Command("train a system, and evaluate it", "latentcore.commands.train:train"),
    "evaluate": Command("figures and pictures of a run on its test data", "latentcore.commands.evaluate:evaluate"),
    "config": Command("a preset of a system as a file to change", "latentcore.commands.config:config"),
    "report": Command("one page that shows runs, with a latent explorer", "latentcore.commands.report:report"),
    "data": Command("get and convert data", "latentcore.commands.data:data"),
    "info": Command("versions, native libraries, SIMD level, threads and devices", "latentcore.commands.info:info"),
    "demo": Command(
        "train, cluster, classify and rotate the digits that come with the package", "latentcore.commands.demo:demo"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 where it went well, 1 with one line on standard error for bad input, 130 on Ctrl-C.

    As everywhere, status 2 says that the words are wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in ([], ["-h"], ["--help"]):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(version("latentcore"))
        return 0
    if words[0] in _COMMANDS:
        return _run(_COMMANDS[words[0]], words)
    if (command := _of_systems().get(words[0])) is not None:
        return _run(command, words, systems.load_run)
    hint = did_you_mean(words[0], [*_COMMANDS, *_of_systems()])
    print(f"usage: latentcore COMMAND ...\nlatentcore: error: unknown command {words[0]!r}{hint}", file=sys.stderr)
    raise SystemExit(2)


def _run(command: Command, words: list[str], *more: Any) -> int:
    try:
        with _extras.named():
            resolved(command.run, f"the command {words[0]}")(words[1:], *more)
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


def _of_systems() -> dict[str, Command]:
    """Commands that systems have beside those of all, as far as they can be imported; ours, the first, win."""
    found, _ = systems.catalogue.available()
    commands = [entry for system in found for entry in system.commands.items()]
    return {**dict(commands), **dict(reversed(commands))}


def _help() -> str:
    rows = {name: command.does for name, command in {**_COMMANDS, **_of_systems()}.items()}
    _, broken = systems.catalogue.available()
    lines = [f"usage: latentcore COMMAND ...\n\n{_ABOUT}\n", table(rows)]
    lines += left_out(broken, "the system ")
    return "\n".join([*lines, "\n`latentcore COMMAND --help` says more; `latentcore --version` prints the version."])


def _failed(words: str) -> int:
    """One line, whatever a library's message or a file's name holds; of several processes the first one's."""
    from latentcore._files import printable

    if os.environ.get("RANK", "0") == "0":
        print(f"error: {printable(' '.join(words.split()))}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
