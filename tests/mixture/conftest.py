import numpy as np
import pytest


@pytest.fixture
def blobs():
    """(N, D) = (600, 3): three groups that overlap a little, and their numbers."""
    random = np.random.default_rng(0)
    groups = np.arange(600) % 3
    centres, scales = np.array([[0, 0, 0], [4, 4, 0], [-3, 0, 3]]), np.array([1, 0.5, 1.5])
    return random.normal(centres[groups], scales[groups, None], (600, 3)), groups
