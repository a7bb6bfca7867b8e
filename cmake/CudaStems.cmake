# The operators that have a CUDA kernel.
set(LATENTCORE_CUDA_STEMS reparameterize vae_loss warp mixture m_step em kmeans)
