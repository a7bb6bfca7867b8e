"""`latentcore data`: get, make and convert data."""

from collections.abc import Callable
from pathlib import Path

from latentcore._catalogue import did_you_mean
from latentcore.terminal.parsing import Parser, class_list, left_out, positive, seed_number, table


def data(words: list[str]) -> None:
    """Do what the first word says."""
    if words[:1] in ([], ["-h"], ["--help"]):
        does = {name: (function.__doc__ or "").splitlines()[0].rstrip(".") for name, function in _ACTIONS.items()}
        print(f"usage: latentcore data ACTION ...\n\nactions:\n{table(does)}")
        raise SystemExit(0 if words else 2)
    if words[0] not in _ACTIONS:
        parser = Parser("data", "get, make and convert data", usage="data ACTION ...")
        parser.error(f"unknown action {words[0]!r}{did_you_mean(words[0], _ACTIONS)}")
    _ACTIONS[words[0]](words[1:])


def sets(words: list[str]) -> None:
    """List the data sets that have a name."""
    Parser("data sets", "the data sets that have a name").told(words)
    from latentcore.data import registry

    found, broken = registry.catalogue.available()
    rows = {known.name: f"{known.does}{f' ({known.get})' if known.get else ''}" for known in found}
    print("\n".join([table(rows, indent=""), *left_out(broken)]))


def fetch(words: list[str]) -> None:
    """Get a data set."""
    parser = Parser("data fetch", "get a data set", "latentcore data fetch mnist --out mnist")
    parser.add_argument("name", choices=("mnist",), help="the data set")
    parser.add_argument("--out", type=Path, default=Path("mnist"), help="the folder to write (%(default)s)")
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="has the files, plain or gzipped")
    told = parser.told(words)
    from latentcore.data import mnist

    print(f"MNIST's four files are in {mnist.fetch(told['out'], told['source'])}")


def export(words: list[str]) -> None:
    """Write the NumPy files of the few-label protocol: train.npz (no labels), val.npz (a few), test.npz."""
    parser = Parser(
        "data export", "write the NumPy files of the few-label protocol", "latentcore data export digits --out files"
    )
    parser.add_argument("data", nargs="?", metavar="DATA", help="a data set with labels (what LATENTCORE_DATA names)")
    parser.add_argument("--data", dest="more_data", metavar="DATA", help="the same")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    parser.add_argument("--classes", type=class_list, default=(1, 4, 8), metavar="1,4,8", help="digits (1,4,8)")
    parser.add_argument("--labels-per-class", type=positive, default=5, metavar="N", help="labels (%(default)s)")
    parser.add_argument("--seed", type=seed_number, default=0, help="of the draw (%(default)s)")
    told = parser.told(words)
    from latentcore.data import ImageSet, save_images
    from latentcore.data.examples import Where
    from latentcore.data.image_sets import Images

    place = told["data"] or told["more_data"]
    chosen = Images(lambda images, _: images.select(told["classes"]))
    found = chosen.opened(Where((place,) if place else ()), None)
    files = {
        "train.npz": ImageSet(found.train.images),
        "val.npz": found.train.draw(told["labels_per_class"], seed=told["seed"]),
        "test.npz": found.test,
    }
    for name, images in files.items():
        save_images(told["out"] / name, images)
        known = "no labels" if images.labels is None else "labels"
        print(f"{told['out'] / name}: {len(images)} images, {known}")


def simulate(words: list[str]) -> None:
    """Write simulated electrons and photons to an HDF5 file like the public ones."""
    parser = Parser(
        "data simulate",
        "write simulated electrons and photons to HDF5",
        "latentcore data simulate --events 20000 --out events.h5",
    )
    parser.add_argument("--events", type=positive, required=True, metavar="N", help="half of them electrons")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--fluctuation", type=float, metavar="F", help="noise that hides the class: 0 to 0.4 or so")
    parser.add_argument("--seed", type=seed_number, default=0, help="of all that is drawn (%(default)s)")
    told = parser.told(words)
    from latentcore.commands.events import simulate as work

    work(told["out"], told["events"], told["seed"], told["fluctuation"])


def inspect(words: list[str]) -> None:
    """Print what a data set of images holds, or an HDF5 file of electrons and photons, and draw its mean images."""
    does = "what a data set of images, or an HDF5 file of electrons and photons holds"
    parser = Parser("data inspect", does, "latentcore data inspect events.h5")
    parser.add_argument("data", metavar="DATA", help="a data set by its name, or a file with the data sets X and y")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="of an HDF5 file's mean images (beside it, .png)")
    told = parser.told(words)
    from latentcore.data import registry

    if told["data"] in registry.catalogue.names and not Path(told["data"]).exists():
        _inspect_images(told["data"])
        return
    from latentcore.commands.events import inspect as work

    work(Path(told["data"]), told["picture"])


def _inspect_images(name: str) -> None:
    from latentcore.data.examples import Where
    from latentcore.data.image_sets import IMAGES
    from latentcore.terminal.tables import show

    found = IMAGES.opened(Where((name,)), None)
    images, labels = found.train.images, found.train.labels
    rows = {"images": f"{len(images):,} to learn from, {len(found.test):,} to judge by"}
    rows["shape"] = f"{tuple(images.shape[1:])} {str(images.dtype).removeprefix('torch.')}"
    rows["classes"] = "no labels" if labels is None else ", ".join(map(str, labels.unique().tolist()))
    show(name, rows)


_ACTIONS: dict[str, Callable[[list[str]], None]] = {
    "sets": sets,
    "fetch": fetch,
    "export": export,
    "simulate": simulate,
    "inspect": inspect,
}
