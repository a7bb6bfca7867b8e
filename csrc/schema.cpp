// Every operator's schema, once. What the operators compute stands in python/latentcore/ops/<stem>.py.
#include "common/stable.h"

// The tests define the same operators once more, for CUDA kernels that run on the CPU.
#ifndef LATENTCORE_LIBRARY
#define LATENTCORE_LIBRARY latentcore
#endif
#define LATENTCORE_SCHEMAS(library, m) STABLE_TORCH_LIBRARY(library, m)

LATENTCORE_SCHEMAS(LATENTCORE_LIBRARY, m) {
  m.def(
      "reparameterize_kl(Tensor mu, Tensor logvar, Tensor? prior_mu, Tensor? prior_logvar, Tensor seed, int offset, "
      "bool per_latent) -> (Tensor z, Tensor kl)");
  m.def(
      "reparameterize_kl_backward(Tensor grad_z, Tensor grad_kl, Tensor mu, Tensor logvar, Tensor? prior_mu, "
      "Tensor? prior_logvar, Tensor seed, int offset, bool per_latent) "
      "-> Tensor[] of_mu_logvar_and_prior");
  m.def("gmm_log_prob(Tensor x, Tensor means, Tensor precisions_cholesky, str covariance_type) -> Tensor log_prob");
  m.def(
      "gmm_e_step(Tensor x, Tensor weights, Tensor means, Tensor precisions_cholesky, str covariance_type) "
      "-> (Tensor log_prob_norm, Tensor log_resp)");
  m.def(
      "gmm_responsibilities(Tensor x, Tensor weights, Tensor means, Tensor precisions_cholesky, str covariance_type) "
      "-> Tensor resp");
  m.def(
      "gmm_statistics(Tensor x, Tensor weights, Tensor means, Tensor precisions_cholesky, str covariance_type, "
      "Tensor? sample_weight) -> (Tensor log_likelihood, Tensor n_k, Tensor first, Tensor second)");
  m.def(
      "gmm_score(Tensor grad, Tensor x, Tensor weights, Tensor means, Tensor precisions_cholesky, str covariance_type, "
      "Tensor? sample_weight) -> Tensor score");
  m.def(
      "gmm_moments(Tensor resp, Tensor x, Tensor means, Tensor precisions_cholesky, str covariance_type) "
      "-> (Tensor score, Tensor n_k, Tensor first, Tensor second)");
  m.def(
      "gmm_m_step(Tensor n_k, Tensor first, Tensor second, Tensor means, str covariance_type, float reg_covar, "
      "Tensor? mean_weight=None) -> (Tensor weights, Tensor new_means, Tensor covariances, Tensor "
      "precisions_cholesky)");
  m.def(
      "gmm_em(Tensor x, Tensor weights, Tensor means, Tensor covariances, Tensor precisions_cholesky, "
      "str covariance_type, int max_iter, float tol, float reg_covar, Tensor? sample_weight) "
      "-> (Tensor new_weights, Tensor new_means, Tensor new_covariances, Tensor new_precisions_cholesky, "
      "Tensor lower_bounds, Tensor converged)");
  m.def(
      "kmeans_step(Tensor x, Tensor centers, Tensor? sample_weight) "
      "-> (Tensor labels, Tensor inertia, Tensor counts, Tensor shifts)");
  m.def("kmeans_potentials(Tensor x, Tensor points, Tensor closest, Tensor? sample_weight) -> Tensor potentials");
  m.def("kmeans_update(Tensor(a!) closest, Tensor x, Tensor point, Tensor? sample_weight) -> Tensor potential");
  m.def(
      "vae_loss(Tensor logits, Tensor target, Tensor mu, Tensor logvar, Tensor? prior_mu, Tensor? prior_logvar, "
      "Tensor? mask, Tensor? sample_weight, Tensor? pos_weight, float beta, str likelihood, float scale, bool mean, "
      "bool with_gradient) -> (Tensor loss, Tensor reconstruction, Tensor kl, Tensor gradient)");
  m.def(
      "vae_loss_backward(Tensor? grad_loss, Tensor? grad_reconstruction, Tensor? grad_kl, Tensor? gradient, Tensor mu, "
      "Tensor logvar, Tensor? prior_mu, Tensor? prior_logvar, Tensor? sample_weight, float beta, bool mean) "
      "-> Tensor[] of_logits_mu_logvar_and_prior");
  m.def("warp(Tensor images, Tensor matrix, Tensor fill, str interpolation, ScalarType dtype) -> Tensor");
  m.def(
      "warp_backward(Tensor grad, Tensor images, Tensor matrix, Tensor fill, str interpolation, bool for_images, "
      "bool for_matrix) -> (Tensor grad_images, Tensor grad_matrix)");
  m.def("lzf_decompress(Tensor packed, Tensor(a!) out) -> bool whole");
  m.def("flush_denormals(int threads, bool on) -> ()");
}
