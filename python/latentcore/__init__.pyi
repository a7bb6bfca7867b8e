from latentcore import (
    data as data,
    evaluate as evaluate,
    metrics as metrics,
    mixture as mixture,
    models as models,
    ops as ops,
    plots as plots,
    reference as reference,
    report as report,
    systems as systems,
    testing as testing,
    training as training,
)
from latentcore.mixture import GaussianMixture as GaussianMixture
from latentcore.ops import (
    affine as affine,
    gmm_e_step as gmm_e_step,
    gmm_em as gmm_em,
    gmm_log_prob as gmm_log_prob,
    gmm_m_step as gmm_m_step,
    gmm_responsibilities as gmm_responsibilities,
    gmm_statistics as gmm_statistics,
    kmeans_potentials as kmeans_potentials,
    kmeans_step as kmeans_step,
    kmeans_update as kmeans_update,
    reparameterize_kl as reparameterize_kl,
    rotate as rotate,
)
from latentcore.ops.vae_loss import vae_loss as vae_loss
from latentcore.report.writing import write_report as write_report
from latentcore.systems import evaluate_run as evaluate_run, load_run as load_run, resume as resume, train as train

__version__: str
