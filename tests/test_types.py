"""What a type checker finds after `import latentcore` alone."""

import sys
from pathlib import Path

import pytest

import latentcore
from children import run_child

# expressions, and their types
REVEALED = {
    "latentcore.rotate(x, 30.0)": "torch._tensor.Tensor",
    "latentcore.ops.affine(x, angle=30.0)": "torch._tensor.Tensor",
    "latentcore.vae_loss(x, x, x, x).loss": "torch._tensor.Tensor",
    "latentcore.ops.vae_loss(x, x, x, x).loss": "torch._tensor.Tensor",
    "latentcore.reference.vae_loss(x, x, x, x).loss": "torch._tensor.Tensor",
    "latentcore.gmm_log_prob(x, x, x)": "torch._tensor.Tensor",
    "latentcore.gmm_em(x, x, x, x).means": "torch._tensor.Tensor",
    "latentcore.kmeans_step(x, x).inertia": "torch._tensor.Tensor",
    "latentcore.GaussianMixture(2).fit(x)": "latentcore.mixture.estimator.GaussianMixture",
    "latentcore.mixture.fit_many(x, 2)": "latentcore.mixture.batched.MixtureBatch",
    "latentcore.metrics.mse(x, x)": "torch._tensor.Tensor",
    "latentcore.metrics.roc_auc(x, x)": "float",
    "latentcore.plots.loss_curves({})": "matplotlib.figure.Figure",
    "latentcore.data.load_images('a.npz')": "latentcore.data.arrays.ImageSet",
    "latentcore.evaluate.binarised(x)": "torch._tensor.Tensor",
    "latentcore.report.write_report(['run'], 'a.html')": "pathlib.Path",
    "latentcore.training.TrainConfig()": "latentcore.training.config.TrainConfig",
    "latentcore.systems.system_of('run')": "latentcore.training.system.System[Any]",
    "latentcore.testing.relative_error(x, x)": "float",
    "latentcore.__version__": "str",
}


@pytest.mark.long
def test_all_that_is_at_hand_has_its_types(tmp_path):
    pytest.importorskip("mypy", reason="no mypy: `make lint` installs it")
    script = tmp_path / "script.py"
    lines = ["import torch", "import latentcore", "x = torch.ones(2)", *(f"reveal_type({it})" for it in REVEALED)]
    script.write_text("\n".join(lines) + "\n")
    # quiet: errors in latentcore itself are found where it is checked with its own configuration
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {Path(latentcore.__file__).parents[1]}\n")
    words = ("--strict", "--follow-imports=silent", "--config-file=mypy.ini", "--cache-dir=cache", script.name)
    done = run_child([sys.executable, "-m", "mypy", *words], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.partition('Revealed type is "')[2].rstrip('"') for line in done.stdout.splitlines()[:-1]]
    assert found == list(REVEALED.values())
