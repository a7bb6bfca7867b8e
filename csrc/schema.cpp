// Every operator's schema, once. What the operators compute stands in python/latentcore/ops/<stem>.py.
#include "common/stable.h"

STABLE_TORCH_LIBRARY(latentcore, m) {
  m.def("reparameterize_kl(Tensor mu, Tensor logvar, Tensor seed, int offset) -> (Tensor z, Tensor kl)");
  m.def(
      "reparameterize_kl_backward(Tensor grad_z, Tensor grad_kl, Tensor mu, Tensor logvar, Tensor seed, int offset) "
      "-> (Tensor grad_mu, Tensor grad_logvar)");
  m.def(
      "vae_loss(Tensor logits, Tensor target, Tensor mu, Tensor logvar, str likelihood, float scale, "
      "bool with_gradient) -> (Tensor reconstruction, Tensor kl, Tensor gradient)");
  m.def(
      "vae_loss_backward(Tensor grad_reconstruction, Tensor grad_kl, Tensor gradient, Tensor mu, Tensor logvar) "
      "-> (Tensor grad_logits, Tensor grad_mu, Tensor grad_logvar)");
  m.def("warp(Tensor images, Tensor matrix, str interpolation, float fill, ScalarType dtype) -> Tensor");
  m.def(
      "warp_backward(Tensor grad, Tensor images, Tensor matrix, str interpolation, float fill, bool for_images, "
      "bool for_matrix) -> (Tensor grad_images, Tensor grad_matrix)");
}
