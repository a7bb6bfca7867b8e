"""What the command line does with autoencoders and VAEs beside training them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentcore.data.examples import Examples, Where
from latentcore.systems.autoencoder.config import AutoencodingConfig, AutoencodingOptions
from latentcore.terminal.parsing import Parser, add_channels_last, add_reading, folder_name, positive, whole
from latentcore.training.system import OpenRun


def check(config: AutoencodingConfig, data: Examples, options: AutoencodingOptions) -> None:
    """The test images can be evaluated; otherwise that would come out after the training."""
    from latentcore.data.convert import as_classes
    from latentcore.data.image_sets import check_fit

    check_fit(data, config.network.image_shape)
    if config.network.classes and data.test is not None:
        as_classes(data.test.labels, len(data.test), config.network.classes, "labels of the test images")


def evaluate(run: Any, data: Examples, options: AutoencodingOptions, folder: Path) -> dict[str, float]:
    """Draw a run's pictures, and find its figures."""
    from latentcore.systems.autoencoder import evaluation, pictures

    pictures.write_pictures(run, data.test, folder, tsne=options.tsne)
    return evaluation.figures(run, data.test)


def compare(words: list[str], load_run: OpenRun) -> None:
    """Set runs side by side: their figures as a table, their pictures in a folder."""
    does = "figures and pictures of autoencoders and VAEs side by side"
    example = "latentcore compare runs/vae runs/cvae --out comparison"
    parser = Parser("compare", does, example, usage="compare RUN ... [options]")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--data", metavar="DATA", help="where the images lie (where they were when a run began)")
    parser.add_argument("--test", metavar="FILE", help="a file of other images, to compare on")
    add_channels_last(parser)
    parser.add_argument("--out", type=folder_name, default=Path("comparison"), metavar="DIR", help="(%(default)s)")
    told = parser.told(words)
    data, test = ((word,) if word is not None else () for word in (told["data"], told["test"]))
    folders: list[Path] = told["runs"]
    runs = {folder.name or str(folder): _coding(load_run(folder)) for folder in folders}
    if len(runs) != len(folders):
        raise ValueError(f"RUN: expected folders of different names, got {', '.join(map(str, folders))}")
    _compare(runs, _judged_by(folders, Where(data, test, told["channels_last"])), told["out"])


def interpolate(words: list[str], load_run: OpenRun) -> None:
    """Draw the way from an image to another in latent space: a picture, or a film that goes there and back."""
    does, example = "the way from an image to another", "latentcore interpolate runs/vae a.png b.png --out way.gif"
    parser = Parser("interpolate", does, example, usage="interpolate RUN IMAGE IMAGE --out FILE [options]")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run with an autoencoder or a VAE")
    parser.add_argument("first", type=Path, metavar="IMAGE", help="where the way begins: PNG, JPEG, WebP or BMP")
    parser.add_argument("last", type=Path, metavar="IMAGE", help="where it ends")
    parser.add_argument("--steps", type=positive, default=11, metavar="N", help="images, ends included (11)")
    parser.add_argument("--label", type=whole, metavar="CLASS", help="of both, where the model is told classes")
    add_reading(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .png or .gif to write")
    told = parser.told(words)
    _interpolate(_coding(load_run(told.pop("run"))), **told)


def _compare(runs: Mapping[str, Any], images: Any, out: Path) -> None:
    from latentcore.systems.autoencoder import compare as comparison
    from latentcore.terminal.tables import show_rows

    rows = comparison.table(runs, images)
    files = comparison.write_comparison(runs, images, out, rows)
    columns = [column for column in rows[0] if column != "run"]
    show_rows("figures", ["figure", *runs], [_across(column, rows) for column in columns])
    print(f"\npictures     {', '.join(str(path) for path in files)}")
    for name, run in runs.items():
        _print_prior(run, f"{name}: ")


def _judged_by(folders: Sequence[Path], where: Where) -> Any:
    """The images to compare all runs on, from which none of them has learned."""
    from latentcore.data.held_out import check_unchanged, describe
    from latentcore.data.image_sets import IMAGES

    # all that a file holds, also where a run has learned and is judged by some classes of it
    found = {folder: IMAGES.reopened(folder, where, None, "test").test for folder in folders}
    first = found[folders[0]]
    for folder, images in found.items():
        check_unchanged(f"what {folder} has held out", folders[0], describe(first), describe(images), "name --test")
    return first


def _across(column: str, rows: Sequence[Mapping[str, float | str]]) -> dict[str, object]:
    return {"figure": column, **{str(row["run"]): row[column] for row in rows}}


def _interpolate(
    run: Any, *, first: Path, last: Path, steps: int, label: int | None, fit: bool, invert: bool, out: Path
) -> None:
    from latentcore._files import printable
    from latentcore.systems.autoencoder.interpolate import write_way

    if steps < 2:
        raise ValueError(f"--steps: expected at least 2, got {steps}")
    if out.suffix not in (".gif", ".png"):
        raise ValueError(f"--out: expected a file named .png or .gif, got {out.name!r}")
    write_way(run, (first, last), out, steps=steps, label=label, fit=fit, invert=invert)
    print(printable(f"{out}: from {first.name} to {last.name} in {steps} steps"))
    _print_prior(run)


def _print_prior(run: Any, name: str = "") -> None:
    from latentcore._files import printable
    from latentcore.evaluate.pictures import note_of_prior

    if (note := note_of_prior(run)) is not None:
        print(printable(f"prior        {name}{note}"))


def _coding(run: Any) -> Any:
    """A run that encodes and decodes, of whatever system."""
    from latentcore.training.run import CodingRun

    if not isinstance(run, CodingRun):
        raise ValueError(f"{run.folder}: expected a run with an autoencoder, got one of {run.system!r}")
    return run
