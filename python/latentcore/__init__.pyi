from latentcore import models as models
from latentcore import ops as ops
from latentcore import reference as reference
from latentcore.mixture import GaussianMixture as GaussianMixture
from latentcore.ops import affine as affine
from latentcore.ops import gmm_e_step as gmm_e_step
from latentcore.ops import gmm_log_prob as gmm_log_prob
from latentcore.ops import gmm_statistics as gmm_statistics
from latentcore.ops import reparameterize_kl as reparameterize_kl
from latentcore.ops import rotate as rotate
from latentcore.ops.vae_loss import vae_loss as vae_loss
from latentcore.systems import load_run as load_run
from latentcore.systems import resume as resume
from latentcore.systems import train as train

__version__: str
