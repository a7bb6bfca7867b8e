"""The report: run folders as one HTML page that needs no network."""

import math
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from latentcore._files import replacing
from latentcore.report.curves import curves, scatter
from latentcore.report.explorer import explorer
from latentcore.report.folder import RunFolder, read_folders
from latentcore.report.network import UnsupportedError
from latentcore.report.pictures import Picture, picture, sprite

_SCRIPTS = ("network.js", "plots.js", "explorer.js")
# shown large, where a run has them, in this order
_HEADLINES = (
    "f1",
    "test_auc",
    "auc_gap_oracle",
    "test_accuracy",
    "accuracy",
    "psnr_mean",
    "psnr_gap_worst",
    "label_kept_worst",
    "nats",
    "ssim",
    "psnr",
    "mse",
    "loss",
    "seconds",
)
_MOST_HEADLINES = 5


def write_report(runs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> Path:
    """Write one self-contained page about run folders.

    Figures, curves, latents with the images they are of, an explorer of the latent space, pictures, configurations,
    environments and commands, each as far as the folders have it; the page says what is missing. Nothing is fetched
    when it is opened, and nothing in a run folder is executed.

    Args:
        runs: Run folders, one or several; several stand side by side.
        path: The HTML file to write; replaced as a whole.

    Returns:
        The file.

    Raises:
        OSError: A folder is missing, or the file cannot be written.
        ValueError: A folder holds nothing of a run.

    Example:
        >>> write_report(["runs/vae", "runs/cvae"], "report.html")  # doctest: +SKIP
        PosixPath('report.html')
    """
    found = read_folders([Path(run) for run in runs])
    with replacing(path) as temporary:
        temporary.write_text(render(found), encoding="utf-8")
    return Path(path)


def render(runs: Sequence[RunFolder]) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("latentcore.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    sections = [_section(place, run) for place, run in enumerate(runs)]
    return environment.get_template("report.html").render(
        title=", ".join(run.name for run in runs),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        figures=table([run.figures for run in runs]),
        curves=[{**plot, "figure": _plain(plot["figure"])} for plot in curves(runs)],
        runs=sections,
        style=_asset("style.css"),
        scripts=[Markup(get_plotlyjs()), *map(_asset, _SCRIPTS)],  # of this package and of plotly
    )


def table(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Mappings as columns side by side: for each key what each of them has, None where it has nothing."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [(name, [row.get(name) for row in rows]) for name in names]


def number(value: Any) -> str:
    """A figure with the digits that matter; words as they are, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"


def _section(place: int, run: RunFolder) -> dict[str, Any]:
    """All that the page shows of one run."""
    missing = list(run.missing)
    data: dict[str, Any] = {"explorer": None, "scatter": None, "sprite": None}
    pictures = _pictures(run, missing)
    try:
        data |= {"scatter": _plain(scatter(run)), "sprite": _sprite(run)}
        if run.run is not None:
            data["explorer"] = _plain(explorer(run.run, run.latents))
    except UnsupportedError as error:
        if run.has_latents or "gan" in run.config:
            missing.append(f"latent explorer: left out, for {error}.")
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        missing.append(f"latent space: cannot be shown. {error}")
    found = data["explorer"]
    if found is not None and isinstance(found["turn"], str):
        missing.append(f"turning digits: left out. {found['turn']}")
        found["turn"] = None
    return {
        "id": f"run-{place + 1}",
        "name": run.name,
        "system": run.system,
        "path": str(run.path),
        "headlines": _headlines(run.figures),
        "data": data,
        "pictures": pictures,
        "tables": run.tables,
        "config": _config(run.config),
        "environment": run.environment,
        "commands": [(str(entry.get("command", "")), str(entry.get("began", ""))) for entry in run.commands],
        "missing": missing,
    }


def _headlines(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = [(name.replace("_", " "), figures[name]) for name in _HEADLINES if name in figures]
    return found[:_MOST_HEADLINES]


def _pictures(run: RunFolder, missing: list[str]) -> list[Picture]:
    found = []
    for path in run.pictures:
        try:
            found.append(picture(path))
        except (OSError, ValueError) as error:
            missing.append(f"pictures/{path.name}: cannot be shown. {error}")
    return found


def _sprite(run: RunFolder) -> dict[str, Any] | None:
    return None if run.latents is None else sprite(run.latents)._asdict()


def _config(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A configuration as rows, the names of nested fields joined by dots."""
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, dict) and value:
            rows += [(f"{name}.{inner}", words) for inner, words in _config(value)]
        else:
            rows.append((name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def _plain(value: Any) -> Any:
    """Data without NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _asset(name: str) -> Markup:
    """A file of this package that stands in the page as it is."""
    return Markup((files("latentcore.report") / "page" / name).read_text(encoding="utf-8"))
