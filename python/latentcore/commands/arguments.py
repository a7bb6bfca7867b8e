"""What several commands take, and what words on the command line may be."""

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: Any, name: str, words: str, handler: tuple[str, str]) -> argparse.ArgumentParser:
    """A command; `handler` is what `latentcore.commands.options.parser` says."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=words)
    command.set_defaults(handler=handler)
    return command


def add_choice(parser: argparse.ArgumentParser, option: str, choices: tuple[str, ...], default: str) -> None:
    """An option with a few possible words, all of them in its help."""
    parser.add_argument(option, choices=choices, metavar="NAME", help=f"{', '.join(choices)} ({default})")


def add_training(parser: argparse.ArgumentParser) -> None:
    """How long to train, what to resume, and where the run goes."""
    parser.add_argument("--epochs", type=positive, help="of the last phase of the training (the preset's)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    add_run_dir(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How an image of one's own is brought to a model's size and colours."""
    parser.add_argument("--fit", action="store_true", help="resize and crop images to the model's size")
    parser.add_argument("--invert", action="store_true", help="images are dark on light")


def add_rotation(parser: argparse.ArgumentParser) -> None:
    """Which transformations to learn, of which digits."""
    presets = ("rotation", "frozen", "study", "held-out", "never-turned", "scale-translate")
    add_choice(parser, "--preset", presets, "rotation")
    parser.add_argument("--digits", type=class_list, metavar="1,2", help="digits (all; of the study 1,2)")


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Which digits are told apart, and with how many labels."""
    parser.add_argument("--classes", type=class_list, metavar="1,4,8", help="digits (1,4,8)")
    parser.add_argument("--labels-per-class", type=positive, metavar="N", help="labels (5)")
    add_seed(parser)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The seed."""
    parser.add_argument("--seed", type=seed_number, help="of weights and of all that is drawn (0)")


def add_run_dir(parser: argparse.ArgumentParser) -> None:
    """Where the run goes."""
    parser.add_argument("--run-dir", type=folder_name, metavar="DIR", help="the run's folder (runs/<system>-<time>)")


def add_data_folder(parser: argparse.ArgumentParser) -> None:
    """Where MNIST's files lie."""
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of MNIST's IDX files (LATENTCORE_DATA)")


def add_beside(parser: argparse.ArgumentParser) -> None:
    """Another run for comparison."""
    parser.add_argument(
        "--beside", type=Path, metavar="RUN", help="for gan: a VAE or a GAN, whose samples stand beside its own"
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Where training and test images come from."""
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="MNIST's or CIFAR-10's folder, or a file of images (LATENTCORE_DATA)"
    )
    parser.add_argument("--test", type=Path, metavar="FILE", help="file of test images, where --data is no folder")
    add_channels_last(parser)


def add_channels_last(parser: argparse.ArgumentParser) -> None:
    """How images lie in files."""
    parser.add_argument(
        "--channels-last",
        action=argparse.BooleanOptionalAction,
        help="files hold images as rows, columns, channels (channels first, and an error where that is unlikely)",
    )


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
