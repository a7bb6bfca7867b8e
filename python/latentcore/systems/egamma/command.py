"""What the command line does with electrons and photons beside training."""

from pathlib import Path
from typing import Any

from latentcore.data.examples import Examples
from latentcore.terminal.parsing import Parser
from latentcore.training.system import OpenRun


def evaluate(run: Any, data: Examples, options: Any, folder: Path) -> dict[str, float]:
    """Judge a run by its test events, and draw its pictures."""
    from latentcore.evaluate.pictures import loss_figure, save_pictures
    from latentcore.systems.egamma import evaluation, pictures

    parts = data.test
    scored = evaluation.score(run, parts.test_files, parts.test)
    pictures.write_pictures(folder / "pictures", scored)
    terms = ("loss", "validation_loss") if parts.validation is not None else ("loss",)
    save_pictures(folder / "pictures", {"losses": loss_figure(run.folder, terms)})
    return evaluation.figures(scored)


def predict(words: list[str], load_run: OpenRun) -> None:
    """Write what a run says of events, labelled or not."""
    parser = Parser(
        "predict",
        "what a run says of the events of HDF5 files",
        "latentcore predict runs/egamma events.h5 --out predicted.csv",
        usage="predict RUN FILE [FILE ...] --out FILE",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run of `latentcore train egamma`")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="with the data set X")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .h5, .hdf5 or .csv to write")
    told = parser.told(words)
    from latentcore.data.egamma import EgammaFiles
    from latentcore.systems.egamma.predictions import write_predictions
    from latentcore.systems.egamma.run import EgammaRun

    run, out = load_run(told["run"]), told["out"]
    if not isinstance(run, EgammaRun):
        raise ValueError(f"{run.folder}: expected a run of the system 'egamma', got one of {run.system!r}")
    count = write_predictions(run, EgammaFiles(told["files"], labelled=False), out)
    print(f"{out}: {count:,} events")
