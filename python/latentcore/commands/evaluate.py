"""`latentcore evaluate`: whatever the system."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentcore import systems
from latentcore.commands import options as given
from latentcore.terminal.parsing import Parser, folder_name
from latentcore.training.system import System

if TYPE_CHECKING:
    from latentcore.training.judging import Judgement

_DOES = "figures and pictures of a run on its test data"


def evaluate(words: list[str]) -> None:
    """Evaluate a run, on what it has held out or on other data.

    What is found goes to `--out`; without it to the run's folder where the run is judged by what it has held out
    itself, and else to `evaluations/<name>-<hash>` in it.
    """
    if not words or words[0].startswith("-"):
        usage = "evaluate RUN [DATA ...] [options]"
        parser = Parser("evaluate", _DOES, "latentcore evaluate runs/first", _MORE, usage=usage)
        parser.told(words)
        parser.error("RUN: expected a run folder as the first word")
    folder = Path(words[0])
    if words[0] in systems.catalogue.names and not folder.exists():
        raise ValueError(f"RUN: expected a run folder, got {words[0]!r}: the run says its system, `evaluate RUN`")
    system = systems.system_of(folder)
    _evaluate(system, folder, _parser(system).told(words[1:]))


def _evaluate(system: System[Any], folder: Path, told: dict[str, Any]) -> None:
    from latentcore.training import judging

    run, options = systems.load_run(folder), given.options_of(system, told)
    use = "both" if system.judged_beside_training else "test"
    examples = system.part("data").reopened(folder, given.where(told, options), run.config, use)
    show_judgement(run, judging.evaluate(system, run, examples, options, told["out"]))


def show_judgement(run: Any, found: "Judgement") -> None:
    """Print the figures of an evaluation, and where all of it is; the first process does."""
    from latentcore.evaluate.pictures import note_of_prior
    from latentcore.terminal.tables import number, show
    from latentcore.training.processes import is_first

    if not is_first():
        return
    if found.figures:  # of a GAN without a classifier there are none
        show("figures", {name: number(value) for name, value in found.figures.items()})
    print(f"\nrun folder   {run.folder}")
    if (note := note_of_prior(run)) is not None:
        print(f"prior        {note}")
    if found.place != run.folder:
        print(f"figures in   {found.place}")
    if found.pictures:
        print(f"pictures     {', '.join(found.pictures)}")


def _parser(system: System[Any]) -> Parser:
    usage = "evaluate RUN [DATA ...] [options]"
    parser = Parser("evaluate", _DOES, "latentcore evaluate runs/first", usage=usage)
    given.add_data(parser, system, "where the data lie (where they were when the run began)")
    given.add_options(parser, system)
    parser.add_argument(
        "--out",
        type=folder_name,
        metavar="DIR",
        help="for figures and pictures (the run's folder; of data that the run did not hold out itself "
        "RUN/evaluations/NAME-HASH, so that the run keeps its own)",
    )
    return parser


_MORE = "`latentcore evaluate RUN --help` has the options of the run's system."
