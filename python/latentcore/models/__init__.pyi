from latentcore.models.autoencoder import Autoencoder as Autoencoder
from latentcore.models.autoencoder import AutoencoderOutput as AutoencoderOutput
from latentcore.models.config import (
    AutoencoderConfig as AutoencoderConfig,
)
from latentcore.models.config import (
    EncoderDecoderConfig as EncoderDecoderConfig,
)
from latentcore.models.config import (
    GANConfig as GANConfig,
)
from latentcore.models.config import (
    LatentConfig as LatentConfig,
)
from latentcore.models.config import (
    ResNetConfig as ResNetConfig,
)
from latentcore.models.config import (
    SharpConfig as SharpConfig,
)
from latentcore.models.config import (
    VAEConfig as VAEConfig,
)
from latentcore.models.equivariant import BlockRotation as BlockRotation
from latentcore.models.events import EventClassifier as EventClassifier
from latentcore.models.files import load_autoencoder as load_autoencoder
from latentcore.models.files import load_vae as load_vae
from latentcore.models.files import save_vae as save_vae
from latentcore.models.gan import GAN as GAN
from latentcore.models.gan import GANOutput as GANOutput
from latentcore.models.latent import build_operator as build_operator
from latentcore.models.likelihoods import Bernoulli as Bernoulli
from latentcore.models.likelihoods import Gaussian as Gaussian
from latentcore.models.likelihoods import Likelihood as Likelihood
from latentcore.models.parts import (
    AttentionConfig as AttentionConfig,
)
from latentcore.models.parts import (
    BernoulliConfig as BernoulliConfig,
)
from latentcore.models.parts import (
    ConvConfig as ConvConfig,
)
from latentcore.models.parts import (
    GaussianConfig as GaussianConfig,
)
from latentcore.models.parts import (
    MixturePriorConfig as MixturePriorConfig,
)
from latentcore.models.parts import (
    MLPConfig as MLPConfig,
)
from latentcore.models.parts import (
    ResidualConfig as ResidualConfig,
)
from latentcore.models.parts import (
    StandardNormalConfig as StandardNormalConfig,
)
from latentcore.models.priors import Mixture as Mixture
from latentcore.models.priors import Posterior as Posterior
from latentcore.models.priors import Prior as Prior
from latentcore.models.priors import StandardNormal as StandardNormal
from latentcore.models.resnet import ResNet15 as ResNet15
from latentcore.models.sharp import PrincipalAxes as PrincipalAxes
from latentcore.models.sharp import SharpVAE as SharpVAE
from latentcore.models.transforming import TransformedOutput as TransformedOutput
from latentcore.models.transforming import TransformingVAE as TransformingVAE
from latentcore.models.vae import VAE as VAE
from latentcore.models.vae import VAEOutput as VAEOutput
