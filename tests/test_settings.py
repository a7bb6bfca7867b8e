from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from latentcore import _config, _settings, systems
from latentcore.models import ConvConfig, MLPConfig, VAEConfig
from latentcore.systems.autoencoder.config import PRESETS, AutoencodingConfig
from latentcore.systems.rotation.config import PRESETS as ROTATIONS

FIRST = PRESETS["vae-2d"]


def changed(**words):
    return _settings.changed(FIRST, {path.replace("__", "."): word for path, word in words.items()}).vae


def test_a_kind_is_set_in_any_order():
    wanted = ConvConfig(hidden=(128,), decoder_hidden=(128,), channels=(8, 16), activation="tanh")
    words = {"vae__network__channels": "8,16", "vae__network__activation": "tanh", "vae__network__kind": "conv"}
    for order in (words, dict(reversed(words.items()))):
        assert changed(**order).network == wanted
    assert changed(vae__network="conv").network == ConvConfig(hidden=(128,), decoder_hidden=(128,))


def test_what_both_kinds_have_stays_and_the_rest_goes():
    there = _settings.changed(FIRST, {"vae.network": "residual", "vae.network.blocks": "3"})
    back = _settings.changed(there, {"vae.network": "mlp"})
    assert back == FIRST
    assert _settings.changed(back, {"vae.network": "residual"}).vae.network.blocks == 1


@pytest.mark.parametrize(
    ("path", "word", "message"),
    [
        ("vae.network", "nonsense", "vae.network.kind: expected one of mlp, conv, residual, attention, got 'nonsense'"),
        ("vae.network.kind", "cov", "got 'cov'; did you mean conv?"),
        ("vae.network.channels", "8", "an unknown name, which needs vae.network.kind=conv or residual"),
        ("vae.network.patch", "8", "an unknown name, which needs vae.network.kind=attention"),
        ("vae.hidden", "8", "an unknown name; did you mean vae.network.hidden?"),
        ("vae.likelihood.scale", "8", "a field of BernoulliConfig (kind)"),
        ("vae.latent.kind", "8", "vae.latent.kind: expected a field of a section"),
        ("vae.network.blocks", "1.5", "an unknown name, which needs vae.network.kind=residual"),
    ],
)
def test_wrong_words(path, word, message):
    with pytest.raises(ValueError, match=r".") as found:
        _settings.changed(FIRST, {path: word})
    assert message in str(found.value)


def test_a_section_that_is_not_there_is_made_with_the_first_kind():
    words = {"vae": "none", "autoencoder.latent": "3", "autoencoder.likelihood": "gaussian"}
    made = _settings.changed(FIRST, words).autoencoder
    assert made.latent == 3
    assert made.network == MLPConfig()
    assert made.likelihood.kind == "gaussian"


def test_every_field_of_every_preset_is_set_to_what_it_is():
    for system in systems.catalogue.available()[0]:
        for preset in system.presets.values():
            plain = _config.to_plain(preset)
            assert _config.from_plain(type(preset), plain) == preset
            assert _settings.plain_with(preset, {}) == plain


def test_other_kinds_are_told_with_their_own_fields():
    found = dict(_settings.other_kinds(FIRST))
    assert found["vae.network"]["residual"] == ["channels", "blocks"]
    assert found["vae.likelihood"] == {"gaussian": []}


@dataclass(frozen=True)
class Round:
    kind: Literal["round"] = field(default="round", kw_only=True)
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = field(default="square", kw_only=True)
    side: float = 1.0


@dataclass(frozen=True)
class Drawing:
    shape: Round | Square | None = None
    size: int = 1

    def __post_init__(self):
        _config.check_types(self)


def test_a_union_may_be_none():
    assert Drawing().shape is None
    assert _config.from_plain(Drawing, {"shape": {"kind": "square", "side": 2}}).shape == Square(2)
    assert _config.from_plain(Drawing, {"shape": {}}).shape == Round()
    assert _settings.changed(Drawing(), {"shape.side": "2", "shape.kind": "square"}).shape == Square(2.0)
    assert _settings.changed(Drawing(Square(2)), {"shape": "none"}).shape is None
    assert _config.to_plain(Drawing(Square(2))) == {"shape": {"kind": "square", "side": 2}, "size": 1}


def test_what_a_file_may_say_python_may_say_too():
    told = VAEConfig(image_shape=[1, 8, 8], network={"kind": "conv", "channels": [4]}, likelihood="gaussian")
    assert told == VAEConfig(image_shape=(1, 8, 8), network=ConvConfig(channels=(4,)), likelihood=told.likelihood)
    assert hash(told) == hash(replace(told))
    assert AutoencodingConfig(vae={"latent": 3}).vae == VAEConfig(latent=3)


def test_fields_are_set_in_the_order_in_which_they_are_named():
    frozen = ROTATIONS["frozen"]
    assert _settings.changed(frozen, {"vae_train.seed": "3", "vae_train": "none"}).vae_train is None
    assert _settings.changed(frozen, {"vae_train": "none", "vae_train.seed": "3"}).vae_train.seed == 3
    words = {"vae.latent": "8", "vae": "none", "autoencoder.latent": "8"}
    assert _settings.changed(FIRST, words).vae is None
    for words, kind in (({"kind": "conv", "": "residual"}, "residual"), ({"": "residual", "kind": "conv"}, "conv")):
        named = {f"vae.network.{name}".rstrip("."): word for name, word in words.items()}
        assert _settings.changed(FIRST, named).vae.network.kind == kind


@dataclass(frozen=True)
class Wide(ConvConfig):
    gain: float = 2.0


@pytest.mark.parametrize(
    ("plain", "error", "message"),
    [
        ({"network": Wide()}, TypeError, "VAEConfig.network: expected one of MLPConfig, .*, got Wide"),
        ({"network": {"kind": None}}, ValueError, "network.kind: expected one of mlp, conv, .*, got None"),
        ({"network": {"kind": []}}, ValueError, r"network.kind: expected one of mlp, conv, .*, got \[\]"),
        ({"prior": {"kind": "mixture", "spread": 10**400}}, ValueError, "spread: expected a finite number, got 1000"),
        ({"prior": {"kind": "mixture", "components": 10**12}}, ValueError, r"MixturePriorConfig.components: expected"),
    ],
)
def test_wrong_values(plain, error, message):
    with pytest.raises(error, match=message):
        VAEConfig(**plain)


@pytest.mark.parametrize(
    ("flat", "error", "message"),
    [
        ({"encoder": "nonsense"}, ValueError, "vae.network.kind: expected one of mlp, .*, got 'nonsense'"),
        ({"encoder": None}, ValueError, "vae.network.kind: expected one of mlp, .*, got None"),
        ({"encoder": "attention", "channels": []}, TypeError, "vae.network.width: expected an int, got list"),
        ({"encoder": "attention", "channels": [8, 16]}, TypeError, "vae.network.width: expected an int, got list"),
        ({"hidden": 3}, TypeError, "vae.network.hidden: expected a list, got int"),
    ],
)
def test_wrong_files_of_before(flat, error, message):
    with pytest.raises(error, match=message):
        _config.from_plain(VAEConfig, flat, "vae")
