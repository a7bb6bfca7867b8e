"""VAEs of one's own photographs."""

from latentcore.systems.photographs.config import PRESETS, PhotographsConfig, PhotographsOptions
from latentcore.training.system import System

SYSTEM = System(
    name="photographs",
    does="a VAE of folders of photographs, around their principal axes",
    config=PhotographsConfig,
    presets=PRESETS,
    training="latentcore.systems.photographs.training:Training",
    run="latentcore.systems.photographs.run:PhotographsRun",
    checked="latentcore.systems.photographs.command:check",
    evaluate="latentcore.systems.photographs.command:evaluate",
    data="latentcore.systems.photographs.opening:PHOTOGRAPHS",
    kind="photographs",
    options=PhotographsOptions,
    headlines=("mse_ratio_pca", "mse", "psnr", "ssim", "ms_ssim"),
    captions={
        "reconstructions": "Photographs, what the model decodes from their latents, and what principal axes alone draw",
        "anomalies": "The photographs of the highest anomaly scores, what the model draws of them, and principal axes",
        "interpolation": "What the model decodes between two photographs that differ much, straight and on a circle",
        "latents": "Latents of photographs on their first two principal axes",
        "latents3d": "Latents of photographs on their first three principal axes",
        "epochs/": "Photographs, below them what the model decodes from their latents, and samples of the prior",
    },
    shortcuts={"--latent": ("vae.latent",), "--perceptual": ("perceptual.kind",)},
)
