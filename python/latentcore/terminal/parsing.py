"""Words of the command line: a parser that helps who mistypes, and what words may be."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentcore._catalogue import did_you_mean
from latentcore._files import printable


class Parser(argparse.ArgumentParser):
    """A parser of one command, whose own usage an unknown option shows, with the option that was probably meant.

    Args:
        name: The command, as it is written behind `latentcore`.
        does: What it does.
        example: A line that runs.
        more: What else its help says, at the end.
        usage: The command and what may stand behind it, in a line; the command alone by default.
    """

    def __init__(self, name: str, does: str, example: str = "", more: str = "", *, usage: str = "") -> None:
        end = f"example:\n  {example}\n" if example else ""
        super().__init__(
            prog=f"latentcore {name}",
            usage=f"latentcore {usage or name}",
            description=f"{does[:1].upper()}{does[1:]}.",
            epilog="\n".join(part for part in (end, more) if part),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def told(self, words: Sequence[str]) -> dict[str, Any]:
        """What the words say, by the names of the options."""
        options, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            self.error(
                f"unknown: {' '.join(unknown)}{did_you_mean(unknown[0].split('=')[0], self._option_string_actions)}"
            )
        return vars(options)


def add_channels_last(parser: argparse.ArgumentParser) -> None:
    """How images lie in files."""
    parser.add_argument(
        "--channels-last",
        action=argparse.BooleanOptionalAction,
        help="files hold images as rows, columns, channels (channels first, and an error where that is unlikely)",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How an image of one's own is brought to a model's size and colours."""
    parser.add_argument("--fit", action="store_true", help="resize and crop images to the model's size")
    parser.add_argument("--invert", action="store_true", help="images are dark on light")


def table(rows: Mapping[str, str], indent: str = "  ") -> str:
    """Names and what they stand for, a line each."""
    width = max(map(len, rows), default=0) + 2
    return "\n".join(f"{indent}{name:<{width}}{printable(words)}" for name, words in rows.items())


def left_out(broken: Mapping[str, str], what: str = "") -> list[str]:
    """A line for each thing of another package that cannot be imported, from its name and why, below an empty one."""
    lines = [f"left out: {what}{name}, which cannot be imported ({why})" for name, why in broken.items()]
    return ["", *map(printable, lines)] if lines else []


def class_list(text: str) -> tuple[int, ...]:
    """Different whole numbers, with commas between."""
    classes = number_list(text)
    if len(set(classes)) != len(classes):
        raise argparse.ArgumentTypeError(f"expected different digits, got {text}")
    return classes


def number_list(text: str) -> tuple[int, ...]:
    """Whole numbers, with commas between."""
    return tuple(whole(part) for part in text.split(","))


def word_list(text: str) -> tuple[str, ...]:
    """Words, with commas between."""
    return tuple(text.split(","))


def folder_name(text: str) -> Path:
    """A folder, which may not be there yet."""
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, got an empty name")
    return Path(text)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def positive(text: str) -> int:
    """A whole number from 1 up."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, got {text}")
    return value


def seed_number(text: str) -> int:
    """A whole number that all generators take."""
    value = whole(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"expected a number in [0, 2^31), got {text}")
    return value
