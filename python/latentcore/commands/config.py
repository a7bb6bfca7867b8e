"""`latentcore config`."""

from pathlib import Path

from latentcore import _config, systems
from latentcore.terminal.parsing import Parser


def config(words: list[str]) -> None:
    """Print a preset of a system as JSON, or write it as a file to change, for `--config`."""
    parser = Parser("config", "a preset of a system as a file to change", "latentcore config gan digits --out my.json")
    parser.add_argument("system", metavar="SYSTEM", help=", ".join(systems.catalogue.names))
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="one of the system's (the first)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the JSON file to write (the terminal)")
    told = parser.told(words)
    found = systems.find(told["system"])
    from latentcore._files import FORMAT, json_text, write_json

    plain = {"system": found.name, "format": FORMAT, **_config.to_plain(found.named(told["preset"]))}
    if told["out"] is None:
        print(json_text(plain), end="")
    else:
        write_json(told["out"], plain)
        print(f"{told['out']}: {told['preset'] or next(iter(found.presets))}")
