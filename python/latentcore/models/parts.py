"""What the configuration of a model names: its layers, its prior and its likelihood, each told by its `kind`.

Without torch. A further one is a class of modules, a dataclass here that says where it is, and a word in the union.
"""

from dataclasses import dataclass, field, fields
from pkgutil import resolve_name
from typing import Any, ClassVar, Literal

from latentcore import _config, _errors

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]
Shape = tuple[int, int, int]
CovarianceType = Literal["full", "tied", "diag", "spherical"]


@dataclass(frozen=True)
class _DenseConfig:
    """The fully connected layers that all networks have."""

    kind: str = field(default="", kw_only=True)
    hidden: tuple[int, ...] = (512, 256, 128)
    decoder_hidden: tuple[int, ...] = (64, 128, 256, 512)
    activation: Activation = "relu"
    normalisation: Literal["batch", "none"] = "none"
    decoder_bias_std: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("hidden", "decoder_hidden"):
            _config.in_range(self, name, 1)
        _config.in_range(self, "decoder_bias_std", 0)
        if self.decoder_bias_std and self.normalisation == "none":
            expected = "0 without normalisation, whose biases it is of"
            _errors.fail_value(f"{type(self).__name__}.decoder_bias_std", expected, self.decoder_bias_std)

    def check_images(self, name: str, image_shape: Shape) -> None:
        """Refuse images of a shape that the layers do not fit; `name` is that of the shape, for messages."""

    def feature_shape(self, image_shape: Shape) -> Shape:
        """(C, H, W) of what the decoder's fully connected layers make."""
        return image_shape


@dataclass(frozen=True)
class _HalvingConfig(_DenseConfig):
    """Networks with convolutions that halve the image."""

    channels: tuple[int, ...] = (32, 64)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_channels(self)

    def check_images(self, name: str, image_shape: Shape) -> None:
        """Refuse images whose sides cannot be halved so often."""
        check_halvings(name, image_shape, self.channels)

    def feature_shape(self, image_shape: Shape) -> Shape:
        """(C, H, W) of what the decoder's fully connected layers make; the encoder's read as much."""
        return halved(image_shape, self.channels)


@dataclass(frozen=True)
class MLPConfig(_DenseConfig):
    """Fully connected layers alone.

    Attributes:
        kind: "mlp".
        hidden: Sizes of the encoder's layers.
        decoder_hidden: Sizes of the decoder's.
        activation: What follows each hidden layer.
        normalisation: "batch" normalises each hidden layer over the batch, before its activation.
        decoder_bias_std: Standard deviation of the first biases of the decoder's batch normalisation. With a
            piecewise linear activation, 1 spreads its hinges over a latent space of few axes; 0 leaves them all at
            the origin.
    """

    kind: Literal["mlp"] = field(default="mlp", kw_only=True)


@dataclass(frozen=True)
class ConvConfig(_HalvingConfig):
    """Convolutions of stride 2 before the encoder's fully connected layers, transposed ones after the decoder's.

    Attributes:
        kind: "conv".
        hidden, decoder_hidden, activation, normalisation, decoder_bias_std: As `MLPConfig` has them.
        channels: Channels of the encoder's convolutions, first to last, one at least; the decoder mirrors them. Height
            and width of the images are multiples of 2 ** len(channels).
    """

    kind: Literal["conv"] = field(default="conv", kw_only=True)


@dataclass(frozen=True)
class ResidualConfig(_HalvingConfig):
    """The same with residual blocks between the convolutions, which are always normalised over the batch.

    Attributes:
        kind: "residual".
        hidden, decoder_hidden, activation, normalisation, decoder_bias_std, channels: As `ConvConfig` has them.
        blocks: Residual blocks after each convolution of the encoder, and before each of the decoder.
    """

    kind: Literal["residual"] = field(default="residual", kw_only=True)
    blocks: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _config.in_range(self, "blocks", 0)


@dataclass(frozen=True)
class AttentionConfig(_DenseConfig):
    """An encoder whose patches attend to each other before its fully connected layers; the decoder is that of an MLP.

    Attributes:
        kind: "attention".
        hidden, decoder_hidden, activation, normalisation, decoder_bias_std: As `MLPConfig` has them.
        patch: Pixels along a patch; height and width of the images are multiples of it.
        width: Numbers that stand for a patch, a multiple of `heads`.
        layers: How often the patches attend to each other.
        heads: Attention heads.
    """

    kind: Literal["attention"] = field(default="attention", kw_only=True)
    patch: int = 7
    width: int = 64
    layers: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch", "width", "layers", "heads"):
            _config.in_range(self, name, 1)
        if self.width % self.heads:
            _errors.fail_value("AttentionConfig.width", f"a multiple of the {self.heads} heads", self.width)

    def check_images(self, name: str, image_shape: Shape) -> None:
        """Refuse images that are no whole number of patches."""
        check_multiples(name, image_shape, self.patch, f"multiples of the patches' {self.patch}")


NetworkConfig = MLPConfig | ConvConfig | ResidualConfig | AttentionConfig
"""The layers of an encoder and of its decoder."""


def check_channels(config: Any) -> None:
    """There are channels, of one convolution at least."""
    _config.in_range(config, "channels", 1)
    if not config.channels:
        _errors.fail_value(f"{type(config).__name__}.channels", "at least one", config.channels)


def check_halvings(name: str, image_shape: Shape, channels: tuple[int, ...]) -> None:
    """The sides of images can be halved for each of the channels."""
    step = 2 ** len(channels)
    check_multiples(name, image_shape, step, f"multiples of {step}, one halving for each of {channels}")


def halved(image_shape: Shape, channels: tuple[int, ...]) -> Shape:
    """(C, H, W) of the last of convolutions that halve an image, one for each of the channels."""
    step = 2 ** len(channels)
    return channels[-1], image_shape[1] // step, image_shape[2] // step


def check_multiples(name: str, image_shape: Shape, step: int, words: str) -> None:
    """The sides of images are multiples of `step`, as `words` say."""
    if image_shape[1] % step or image_shape[2] % step:
        _errors.fail_value(name, f"height and width that are {words}", image_shape)


class BuiltConfig:
    """A dataclass that says of which class of modules it has the arguments."""

    builds: ClassVar[str]

    def __post_init__(self) -> None:
        _config.check_types(self)

    def build(self, *sizes: int) -> Any:
        """The module: the class of `builds`, called with `sizes` and the fields."""
        itself: Any = self
        told = {part.name: getattr(self, part.name) for part in fields(itself) if part.name != "kind"}
        return resolve_name(self.builds)(*sizes, **told)


@dataclass(frozen=True)
class StandardNormalConfig(BuiltConfig):
    """The prior `StandardNormal`.

    Attributes:
        kind: "standard-normal".
    """

    builds: ClassVar[str] = "latentcore.models.priors:StandardNormal"
    kind: Literal["standard-normal"] = field(default="standard-normal", kw_only=True)


@dataclass(frozen=True)
class MixturePriorConfig(BuiltConfig):
    """The prior `Mixture`.

    Attributes:
        kind: "mixture".
        components: Number of components, K.
        covariance_type: "full"; "tied", one matrix for all; "diag"; "spherical", one number for each.
        spread: Standard deviation of the first means about the origin, in units of the latents.
    """

    builds: ClassVar[str] = "latentcore.models.priors:Mixture"
    kind: Literal["mixture"] = field(default="mixture", kw_only=True)
    components: int = 10
    covariance_type: CovarianceType = "full"
    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _config.in_range(self, "components", 1, 2**31 - 1)
        _config.in_range(self, "spread", 0)


PriorConfig = StandardNormalConfig | MixturePriorConfig
"""The prior of a VAE."""


@dataclass(frozen=True)
class BernoulliConfig(BuiltConfig):
    """The likelihood `Bernoulli`, the cross entropy.

    Attributes:
        kind: "bernoulli".
    """

    builds: ClassVar[str] = "latentcore.models.likelihoods:Bernoulli"
    kind: Literal["bernoulli"] = field(default="bernoulli", kw_only=True)


@dataclass(frozen=True)
class GaussianConfig(BuiltConfig):
    """The likelihood `Gaussian`, the squared error.

    Attributes:
        kind: "gaussian".
    """

    builds: ClassVar[str] = "latentcore.models.likelihoods:Gaussian"
    kind: Literal["gaussian"] = field(default="gaussian", kw_only=True)


LikelihoodConfig = BernoulliConfig | GaussianConfig
"""What pixels are given what a decoder computes."""
