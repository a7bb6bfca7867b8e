"""The command `latentcore`. Torch and other heavy libraries are imported only where a command needs them."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 where it went well, 1 with one line on standard error for bad input, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except KeyboardInterrupt as interruption:
        print(": ".join(["interrupted", *map(str, interruption.args)]), file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "info":
        from latentcore.commands.info import info

        info()
    elif options.command == "demo":
        from latentcore.commands.demo import demo

        demo(options.run_dir, options.seed or 0)
    elif options.command == "data":
        _run_data(options)
    elif options.command == "train":
        from latentcore.commands.few_label import NEW_RUN, resume, train

        new = {name: getattr(options, name) for name in NEW_RUN}
        if options.resume is None:
            train(options.data, **new)
        else:
            resume(options.data, options.resume, **new)
    else:
        from latentcore.commands.few_label import evaluate_run

        evaluate_run(options.run, options.data)


def _run_data(options: argparse.Namespace) -> None:
    from latentcore.commands import data

    if options.action == "fetch":
        data.fetch_mnist(options.out, options.source)
    else:
        data.export(
            options.data, options.out, options.classes or (1, 4, 8), options.labels_per_class or 5, options.seed or 0
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latentcore", description="Fused kernels for latent-variable models, and the programs that stand on them."
    )
    parser.add_argument("--version", action="version", version=version("latentcore"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="versions, native libraries, SIMD level, threads and devices")
    demo = commands.add_parser("demo", help="train, cluster, classify and rotate the digits that come with the package")
    _add_run_dir(demo)
    _add_seed(demo)
    _add_train(commands.add_parser("train", help="train a system"))
    evaluate = commands.add_parser("evaluate", help="figures of a run on MNIST's test images")
    evaluate.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    _add_data_folder(evaluate)
    _add_data(commands.add_parser("data", help="get and convert data"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    systems = parser.add_subparsers(dest="system", required=True, metavar="SYSTEM")
    few_label = systems.add_parser("few-label", help="a VAE, a mixture in its latent plane, a few labels to read it")
    _add_data_folder(few_label)
    _add_labels(few_label)
    few_label.add_argument("--preset", choices=("digits148", "plain"), help="configuration (digits148)")
    few_label.add_argument("--epochs", type=_positive, help="instead of the preset's")
    few_label.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    _add_run_dir(few_label)


def _add_data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="get a data set")
    fetch.add_argument("name", choices=("mnist",), help="the data set")
    fetch.add_argument("--out", type=Path, default=Path("mnist"), help="the folder to write (%(default)s)")
    fetch.add_argument(
        "--from", dest="source", type=Path, metavar="FOLDER", help="a folder that has the files, plain or gzipped"
    )
    export = actions.add_parser("export", help="write the NumPy files of the few-label protocol")
    _add_data_folder(export)
    export.add_argument("--out", type=Path, required=True, help="the folder to write")
    _add_labels(export)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--classes", type=_classes, metavar="1,4,8", help="digits (1,4,8)")
    parser.add_argument("--labels-per-class", type=_positive, metavar="N", help="labels (5)")
    _add_seed(parser)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_seed, help="of weights and drawn labels (0)")


def _add_run_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-dir", type=_folder, metavar="DIR", help="the run's folder (runs/<system>-<time>)")


def _add_data_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of MNIST's IDX files (LATENTCORE_DATA)")


def _classes(text: str) -> tuple[int, ...]:
    classes = tuple(_whole(part) for part in text.split(","))
    if len(set(classes)) != len(classes):
        raise argparse.ArgumentTypeError(f"expected different digits, got {text}")
    return classes


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, got an empty name")
    return Path(text)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, got {text}")
    return value


def _seed(text: str) -> int:
    value = _whole(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"expected a number in [0, 2^31), got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
