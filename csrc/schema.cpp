// Every operator's schema, once. What the operators compute stands in python/latentcore/ops/<stem>.py.
#include "common/stable.h"

STABLE_TORCH_LIBRARY(latentcore, m) {
  m.def("reparameterize_kl(Tensor mu, Tensor logvar, Tensor seed, int offset) -> (Tensor z, Tensor kl)");
  m.def(
      "reparameterize_kl_backward(Tensor grad_z, Tensor grad_kl, Tensor mu, Tensor logvar, Tensor seed, int offset) "
      "-> (Tensor grad_mu, Tensor grad_logvar)");
}
