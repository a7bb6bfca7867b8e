"""What a run says of the events of some files, as a file."""

import csv
import os
from pathlib import Path

import numpy as np

from latentcore import _errors
from latentcore._files import replacing
from latentcore._hdf5 import new_file
from latentcore.data.egamma import EgammaFiles
from latentcore.systems.egamma.run import EgammaRun

# shapes: N events of all files

COLUMNS = ("event", "score", "probability", "predicted")

_HDF5, _CSV = (".h5", ".hdf5"), ".csv"


def write_predictions(run: EgammaRun, files: EgammaFiles, path: str | os.PathLike[str]) -> int:
    """Write a row for each event, whole or not at all; memory does not grow with the files.

    A row has the event's number over all files, `score` = log p(electron) - log p(photon), `probability` of an
    electron, and `predicted`, 0 photon or 1 electron. In HDF5 each of the last three is a data set (N,).

    Args:
        run: The trained network.
        files: Events of its size; labels do not count.
        path: The file to write: .h5, .hdf5 or .csv.

    Returns:
        N.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: The name ends in something else, the events are of another size, or a file is damaged.

    Example:
        >>> from latentcore import load_run
        >>> from latentcore.data.egamma import EgammaFiles
        >>> from latentcore.systems.egamma.predictions import write_predictions
        >>> run, files = load_run("runs/egamma"), EgammaFiles("events.h5", labelled=False)  # doctest: +SKIP
        >>> write_predictions(run, files, "predicted.csv")  # doctest: +SKIP
        1000
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (*_HDF5, _CSV):
        _errors.fail_value("path", "a name that ends in .h5, .hdf5 or .csv", str(path))
    if Path(path).resolve() in [file.path.resolve() for file in files.files]:
        _errors.fail_value("path", "another file than those that are read", str(path))
    (_write_csv if suffix == _CSV else _write_hdf5)(run, files, Path(path))
    return len(files)


def _write_csv(run: EgammaRun, files: EgammaFiles, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for events, scores in run.stream_scores(files):
            rows = (events.rows, scores, scores.sigmoid(), (scores > 0).long())
            for number, score, probability, predicted in zip(*(part.tolist() for part in rows), strict=True):
                writer.writerow((number, f"{score:.6g}", f"{probability:.6g}", predicted))


def _write_hdf5(run: EgammaRun, files: EgammaFiles, path: Path) -> None:
    with new_file(path) as (file, check):
        dtypes = dict(zip(COLUMNS[1:], (np.float64, np.float64, np.uint8), strict=True))
        data = {name: file.create_dataset(name, (len(files),), dtype) for name, dtype in dtypes.items()}
        file.attrs["files"] = [f"{part.path.name}: {len(part)} events" for part in files.files]
        for events, scores in run.stream_scores(files):
            place = slice(int(events.rows[0]), int(events.rows[-1]) + 1)
            for name, values in zip(COLUMNS[1:], (scores, scores.sigmoid(), scores > 0), strict=True):
                data[name][place] = values.numpy()
            check()
