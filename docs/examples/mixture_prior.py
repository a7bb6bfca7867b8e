"""A VAE on real digits whose prior is a Gaussian mixture, learned with it, against the standard normal prior.

Both start from the same half-trained VAE and go on with the same batches and noise. The mixture starts from the fit of
a `GaussianMixture` to the latents: scikit-learn's interface, and gradients from there on.

    python docs/examples/mixture_prior.py --out pictures
"""

import argparse
import copy
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

import latentcore
from latentcore import plots
from latentcore.data import ImageSet, mnist
from latentcore.mixture import GaussianMixture, MixturePrior
from latentcore.models import VAE, MLPConfig, VAEConfig


def loss_terms(vae: VAE, prior: MixturePrior | None, images: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL divergence of each image, nats; their sum is the negative evidence lower bound."""
    mu, logvar = vae.encode(images.float() / 255)
    z, kl = latentcore.reparameterize_kl(mu, logvar)
    loss = latentcore.vae_loss(vae.decode_logits(z), images, mu, logvar, reduction="none")
    return loss.reconstruction, kl if prior is None else prior.kl_divergence(z, kl)


def train(vae: VAE, prior: MixturePrior | None, images: Tensor, epochs: int, seed: int) -> None:
    """Minimise the negative lower bound in the weights of the VAE and the parameters of the prior."""
    torch.manual_seed(seed)
    groups = [{"params": vae.parameters(), "lr": 4e-3}]
    if prior is not None:
        groups.append({"params": prior.parameters(), "lr": 1e-2})
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1))
    for _ in range(epochs):
        for index in torch.randperm(len(images)).split(100):
            reconstruction, kl = loss_terms(vae, prior, images[index])
            optimizer.zero_grad()
            (reconstruction + kl).mean().backward()
            optimizer.step()
        schedule.step()


@torch.no_grad()
def fitted_prior(vae: VAE, images: Tensor) -> MixturePrior:
    """A mixture of ten components, fitted to a latent sample of each image."""
    mu, logvar = vae.encode(images.float() / 255)
    z, _ = latentcore.reparameterize_kl(mu, logvar, seed=0)
    return MixturePrior.from_mixture(GaussianMixture(10, n_init=5, max_iter=500, random_state=0).fit(z))


@torch.no_grad()
def show(name: str, vae: VAE, prior: MixturePrior | None, test: ImageSet) -> None:
    """Print a row: nats per test image, the mean of 20 draws of the noise, and how well components fit the digits."""
    torch.manual_seed(0)
    draws = [torch.stack(loss_terms(vae, prior, test.images)).mean(1) for _ in range(20)]
    reconstruction, kl = torch.stack(draws).mean(0).tolist()
    clusters = "-"
    if prior is not None:
        component = prior.predict_proba(vae.encode(test.images.float() / 255)[0]).argmax(1)
        clusters = f"{normalized_mutual_info_score(test.labels, component):.2f}"
    print(f"{name:38}{reconstruction + kl:10.2f}{reconstruction:16.2f}{kl:8.2f}{clusters:>10}")


@torch.no_grad()
def draw(vae: VAE, learned: VAE, prior: MixturePrior) -> Figure:
    """Decoded samples of both priors; those of the mixture with a row for each component."""
    torch.manual_seed(0)
    z, component = prior.sample(200 * len(prior.means))
    rows = [z[component == k][:10] for k in prior.weights.argsort(descending=True) if (component == k).sum() >= 10]
    samples = {
        "normal prior": vae.decode(torch.randn(10 * len(rows), vae.config.latent)),
        "mixture, a component in each row": learned.decode(torch.cat(rows)),
    }
    figure = Figure(figsize=(9.5, 0.47 * len(rows) + 0.5), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    for panel, (title, images) in zip(figure.subplots(1, 2), samples.items(), strict=True):
        panel.imshow(plots.image_grid(1 - images, 10), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set_title(title, fontsize=11)
        panel.set_axis_off()
    return figure


def main() -> None:
    """Train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12, help="passes over the 3,000 digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for a picture of decoded samples")
    options = parser.parse_args()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other, for so small networks
    digits, test = mnist.embedded("train").images, mnist.embedded("test")
    half = options.epochs // 2

    torch.manual_seed(options.seed)
    vae = VAE(VAEConfig(latent=12, network=MLPConfig(hidden=(128,), decoder_hidden=(128,))))
    train(vae, None, digits, half, options.seed)
    learned, prior = copy.deepcopy(vae), fitted_prior(vae, digits)
    train(vae, None, digits, options.epochs - half, options.seed + 1)
    train(learned, prior, digits, options.epochs - half, options.seed + 1)

    print(f"{'500 test digits, nats per image':38}{'-ELBO':>10}{'reconstruction':>16}{'KL':>8}{'NMI':>10}")
    show("normal prior", vae, None, test)
    show("the same VAE, a mixture fitted later", vae, fitted_prior(vae, digits), test)
    show("mixture learned with the VAE", learned, prior, test)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        plots.save_figure(draw(vae, learned, prior), options.out / "mixture_prior.png")
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
