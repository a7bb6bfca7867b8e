"""`latentcore evaluate`."""

from collections.abc import Sequence
from pathlib import Path

from latentcore.training.classifier import ClassifierRun
from latentcore.training.egamma import EgammaRun
from latentcore.training.few_label import FewLabelRun
from latentcore.training.gan import GANRun
from latentcore.training.photographs import PhotographsRun
from latentcore.training.rotation import RotationRun
from latentcore.training.runs import load_run


def evaluate(
    *,
    system: str | None,
    run: Path,
    classifier: Path | None,
    beside: Path | None,
    files: Sequence[Path] | None,
    test: Sequence[Path] | None,
    data: Path | None,
    channels_last: bool | None,
    tsne: bool,
    out: Path | None,
) -> None:
    """Evaluate a run on test images, or on its test events; `system`, where it is given, must be the run's.

    What is found goes to `out`; without it to the run's folder where the run is judged by what it has held out itself,
    and else to `evaluations/<name>-<hash>` in it.
    """
    opened = load_run(run)
    found = opened.config["system"]
    if system not in (None, found):
        raise ValueError(f"{run}: expected a run of the system {system!r}, got one of {found!r}")
    if classifier is not None and not isinstance(opened, RotationRun | GANRun):
        raise ValueError(f"--classifier: expected it beside a run of rotation or gan, got one of {found!r}")
    if beside is not None and not isinstance(opened, GANRun):
        raise ValueError(f"--beside: expected it beside a run of the system 'gan', got one of {found!r}")
    if files and not isinstance(opened, EgammaRun | PhotographsRun):
        raise ValueError(f"--files: expected it beside a run of egamma or photographs, got one of {found!r}")
    if test and found not in ("egamma", "autoencoder", "gan", "photographs"):
        words = "egamma, autoencoder, gan or photographs"
        raise ValueError(f"--test: expected it beside a run of {words}, got one of {found!r}")
    if channels_last is not None and found not in ("autoencoder", "gan"):
        raise ValueError(f"--channels-last: expected it beside a run of autoencoder or gan, got one of {found!r}")
    if tsne and found != "autoencoder":
        raise ValueError(f"--tsne: expected it beside a run of the system 'autoencoder', got one of {found!r}")
    if isinstance(opened, EgammaRun):
        from latentcore.commands import egamma

        egamma.report(opened, files, test, out)
    elif isinstance(opened, FewLabelRun):
        from latentcore.commands import few_label

        few_label.report_on(opened, data, out)
    elif isinstance(opened, RotationRun):
        from latentcore.commands import rotation

        rotation.report_on(opened, data, rotation.open_classifier(classifier, opened.settings), out)
    elif isinstance(opened, ClassifierRun):
        from latentcore.commands import classifier as classifiers

        classifiers.report_on(opened, data, out)
    elif isinstance(opened, GANRun):
        from latentcore.commands import gan

        gan.report_on(opened, data, test, classifier, beside, channels_last=channels_last, out=out)
    elif isinstance(opened, PhotographsRun):
        from latentcore.commands import photographs

        photographs.report_on(opened, files, test, out)
    else:
        from latentcore.commands import autoencoder

        autoencoder.report_on(opened, data, test, channels_last=channels_last, tsne=tsne, out=out)
