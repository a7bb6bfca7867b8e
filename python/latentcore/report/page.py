"""The report as text: run folders as one HTML page that needs no network."""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from itertools import islice
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from latentcore import systems
from latentcore.report.curves import curves, legend, scatter
from latentcore.report.explorer import explorer
from latentcore.report.folder import RunFolder
from latentcore.report.network import UnsupportedError
from latentcore.report.pictures import Picture, name_of, picture, sprite
from latentcore.report.tables import short

_SCRIPTS = ("network.js", "plots.js", "explorer.js")
_OF_ALL = ("loss", "seconds")
_MOST_HEADLINES = 5
_MOST_FIELDS = 500  # of a configuration
_MOST_PIXELS = 200_000_000  # of the pictures of a run, all frames of all together


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
    scripts = [Markup(get_plotlyjs()), *map(_asset, _SCRIPTS)]  # of this package and of plotly
    return environment.get_template("report.html").render(
        title=", ".join(run.name for run in runs),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        figures=table(runs),
        legend=legend(runs),
        curves=[{**plot, "figure": _plain(plot["figure"])} for plot in curves(runs)],
        runs=sections,
        style=_asset("style.css"),
        scripts=scripts,
        allowed=Markup(" ".join(map(_source, scripts))),
    )


def table(runs: Sequence[RunFolder]) -> list[tuple[str, list[Any]]]:
    """Figures of runs side by side, the most telling first: what each run has, None where it has nothing."""
    first = [name for run in runs for name in _telling(run)]
    names = dict.fromkeys([*first, *(name for run in runs for name in run.figures)])
    return [(name, [run.figures.get(name) for run in runs]) for name in names]


def number(value: Any) -> str:
    """A figure with the digits that matter; words as they are, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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
        if hasattr(run.run, "decode"):
            missing.append(f"latent explorer: left out, for {short(error)}.")
    except Exception as error:  # numbers and sizes that nobody foresaw leave the rest of the page as it is
        missing.append(f"latent space: cannot be shown. {short(error) or type(error).__name__}")
    found = data["explorer"]
    if found is not None and isinstance(found["turn"], str):
        missing.append(f"turning digits: left out. {found['turn']}")
        found["turn"] = None
    return {
        "id": f"run-{place + 1}",
        "name": run.name,
        "system": run.system,
        "path": str(run.path),
        "headlines": _headlines(run),
        "data": data,
        "pictures": pictures,
        "tables": run.tables,
        "config": _config(run.config, missing),
        "environment": run.environment,
        "commands": [(short(entry.get("command", "")), short(entry.get("began", ""))) for entry in run.commands],
        "missing": missing,
    }


def _headlines(run: RunFolder) -> list[tuple[str, Any]]:
    names = [name for name in (*_telling(run), *_OF_ALL) if name in run.figures]
    return [(name.replace("_", " "), run.figures[name]) for name in names[:_MOST_HEADLINES]]


def _telling(run: RunFolder) -> list[str]:
    """The figures by which a run's system is judged; where it is unknown those of all systems."""
    found = systems.catalogue.available()[0] if run.kind is None else [run.kind]
    names = [name for system in found for name in system.headlines]
    return [name for name in names if name in run.figures]


def _pictures(run: RunFolder, missing: list[str]) -> list[Picture]:
    found: list[Picture] = []
    captions = {} if run.kind is None else run.kind.captions
    for path in run.pictures:
        try:
            found.append(picture(path, captions, _MOST_PIXELS - sum(one.pixels for one in found)))
        except (OSError, ValueError) as error:
            missing.append(f"pictures/{name_of(path)}: cannot be shown. {short(error)}")
    return found


def _sprite(run: RunFolder) -> dict[str, Any] | None:
    return None if run.latents is None else sprite(run.latents)._asdict()


def _config(config: Mapping[str, Any], missing: list[str]) -> list[tuple[str, str]]:
    """A configuration as rows, the names of nested fields joined by dots."""
    rows = list(islice(_fields(config), _MOST_FIELDS + 1))
    if len(rows) > _MOST_FIELDS:
        missing.append(f"config.json: there are more than {_MOST_FIELDS} fields, of which the page has the first.")
    return rows[:_MOST_FIELDS]


def _fields(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        path = short(f"{before}{name}")
        if isinstance(value, dict) and value:
            yield from _fields(value, f"{path}.")
        else:
            words = map(short, value[:_MOST_FIELDS]) if isinstance(value, list) else [short(value)]
            yield path, short(", ".join(words))


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


def _source(script: str) -> str:
    """A script as a content security policy names it: by the hash of what a browser reads, whose lines end in LF."""
    read = script.replace("\r\n", "\n").replace("\r", "\n").encode()
    return f"'sha256-{base64.b64encode(hashlib.sha256(read).digest()).decode()}'"
