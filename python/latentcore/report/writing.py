"""Writing the report, whose libraries are imported when that is asked for."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latentcore import _errors, _extras
from latentcore._files import replacing

if TYPE_CHECKING:
    from latentcore.report.folder import OneRun


def write_report(runs: "OneRun | Sequence[OneRun]", path: str | os.PathLike[str]) -> Path:
    """Write one self-contained page about run folders.

    Figures, curves, latents with the images they are of, an explorer of the latent space, pictures, configurations,
    environments and commands, each as far as the folders have it; the page says what is missing. Nothing is fetched
    when it is opened, and nothing in a run folder is executed.

    Args:
        runs: A run folder or several, which stand side by side; or runs as `load_run` opens them, which those of
            somebody's own models must be for the page to show their latent space.
        path: The HTML file to write; replaced as a whole.

    Returns:
        The file.

    Raises:
        ModuleNotFoundError: The extra [report] is missing.
        OSError: A folder is missing, or the file cannot be written.
        ValueError: A folder holds nothing of a run, one is given twice, or the file's name is not one of a page.

    Example:
        >>> write_report(["runs/vae", "runs/cvae"], "report.html")  # doctest: +SKIP
        PosixPath('report.html')
    """
    _extras.need("report")
    from latentcore.report.folder import read_folders
    from latentcore.report.page import render

    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):  # nothing of a run is ever replaced by mistake
        _errors.fail_value(str(target), "a file to write that is named .html", repr(target.name))
    found = read_folders(runs)
    with replacing(target) as temporary:
        # names of files can hold bytes that are no text
        temporary.write_text(render(found), encoding="utf-8", errors="replace")
    return target
