"""Few-label classification: a VAE trained without labels, a mixture in its latent space, a few labels to read it.

From Python the few images whose labels are known can be given, `latentcore.train("few-label", images,
labelled=(others, labels))`; otherwise they are drawn from the images to learn from, which then have labels.
"""

from latentcore.systems.few_label.config import PRESETS, FewLabelConfig, upgraded
from latentcore.training.system import System

SYSTEM = System(
    name="few-label",
    does="a VAE that learns without labels, and a mixture in its latents that a few labels explain",
    config=FewLabelConfig,
    presets=PRESETS,
    training="latentcore.systems.few_label.training:Training",
    run="latentcore.systems.few_label.run:FewLabelRun",
    checked="latentcore.systems.few_label.command:check",
    evaluate="latentcore.systems.few_label.command:evaluate",
    data="latentcore.systems.few_label.sources:IMAGES",
    shortcuts={"--classes": ("classes",), "--labels-per-class": ("labels_per_class",)},
    upgraded=upgraded,
    headlines=("f1", "f1_plain", "accuracy", "psnr"),
)
