from latentcore.models.autoencoder import Autoencoder as Autoencoder, AutoencoderOutput as AutoencoderOutput
from latentcore.models.config import (
    AutoencoderConfig as AutoencoderConfig,
    EncoderDecoderConfig as EncoderDecoderConfig,
    GANConfig as GANConfig,
    LatentConfig as LatentConfig,
    ResNetConfig as ResNetConfig,
    SharpConfig as SharpConfig,
    VAEConfig as VAEConfig,
)
from latentcore.models.equivariant import BlockRotation as BlockRotation
from latentcore.models.events import EventClassifier as EventClassifier
from latentcore.models.files import load_autoencoder as load_autoencoder, load_vae as load_vae, save_vae as save_vae
from latentcore.models.gan import GAN as GAN, GANOutput as GANOutput
from latentcore.models.latent import build_operator as build_operator
from latentcore.models.likelihoods import Bernoulli as Bernoulli, Gaussian as Gaussian, Likelihood as Likelihood
from latentcore.models.parts import (
    AttentionConfig as AttentionConfig,
    BernoulliConfig as BernoulliConfig,
    ConvConfig as ConvConfig,
    GaussianConfig as GaussianConfig,
    MixturePriorConfig as MixturePriorConfig,
    MLPConfig as MLPConfig,
    ResidualConfig as ResidualConfig,
    StandardNormalConfig as StandardNormalConfig,
)
from latentcore.models.priors import (
    Mixture as Mixture,
    Posterior as Posterior,
    Prior as Prior,
    StandardNormal as StandardNormal,
)
from latentcore.models.resnet import ResNet15 as ResNet15
from latentcore.models.sharp import PrincipalAxes as PrincipalAxes, SharpVAE as SharpVAE
from latentcore.models.transforming import TransformedOutput as TransformedOutput, TransformingVAE as TransformingVAE
from latentcore.models.vae import VAE as VAE, VAEOutput as VAEOutput
