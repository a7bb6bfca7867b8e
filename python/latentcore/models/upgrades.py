"""What files of earlier versions say of models, in today's words. Without torch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from latentcore import _config
from latentcore.models.parts import NetworkConfig

# until format 2, the fields of all networks stood beside each other in a model's configuration
_OF_NETWORKS = (
    "encoder",
    "hidden",
    "decoder_hidden",
    "channels",
    "blocks",
    "patch",
    "heads",
    "activation",
    "normalisation",
    "decoder_bias_std",
)
# and a `SharpConfig` had those, of which these values were the only choice
_UNUSED = {
    "classes": 0,
    "encoder": "residual",
    "hidden": [],
    "decoder_hidden": [],
    "patch": 7,
    "heads": 4,
    "normalisation": "none",
    "decoder_bias_std": 0.0,
}


def with_network(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a network in a section of their own; those that its kind does not use are left out."""
    if "network" in plain or not any(name in plain for name in _OF_NETWORKS):
        return plain
    kept = {name: value for name, value in plain.items() if name not in _OF_NETWORKS}
    return {**kept, "network": _network(plain)}


def without_unused(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the fields that could have one value alone."""
    return {name: value for name, value in plain.items() if name not in _UNUSED or value != _UNUSED[name]}


def _network(plain: Mapping[str, Any]) -> dict[str, Any]:
    kind = plain.get("encoder", "mlp")
    known = _config.members(NetworkConfig)
    if not isinstance(kind, str) or kind not in known:
        return {"kind": kind}  # which is refused where the section is read
    found = {part.name: plain[part.name] for part in fields(known[kind]) if part.name in plain}
    if kind == "attention" and "channels" in plain:  # an entry for each layer, all the same
        widths = plain["channels"]
        same = isinstance(widths, list | tuple) and len(widths) > 0 and all(width == widths[0] for width in widths)
        found |= {"width": widths[0], "layers": len(widths)} if same else {"width": widths}
    return {"kind": kind, **found}
