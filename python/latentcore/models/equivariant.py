"""Latents that turn with the image: a learned rotation of planes, which is a group."""

import math

import torch
from torch import Tensor, nn

from latentcore.models.networks import mlp
from latentcore.models.parts import Activation

# shapes: (N, L) latents, (N, 4) parameters of which the first is the angle in degrees, P = L // 2 planes

_CYCLE = (1, 0)  # the first two frequencies; then 2, 3, ...


class BlockRotation(nn.Module):
    r"""Rotation of latents by a learned generator: :math:`T(a) = f^{-1} \circ \exp(a G) \circ f`.

    G is skew-symmetric, :math:`G = Q \, \mathrm{diag}(k_1 J, k_2 J, \dots) Q^T` with :math:`J = (0, -1; 1, 0)`, an
    orthogonal matrix Q that is learned and whole numbers k: plane p turns k_p times as fast as the image, and k = 0
    is a plane that does not turn. So, whatever is learned, T(a) T(b) = T(a + b), T(0) and T(360) are the identity, and
    a standard normal prior stays one where f is the identity.

    f is a chain of additive couplings, which are invertible: with them latents that were learned without a
    transformation can be given one.

    Args:
        latent: Number of latent axes; with an odd number the last axis of the turned basis does not turn.
        max_frequency: The planes take the frequencies 1, 0, 2, 3, ..., max_frequency in turn.
        couplings: Pairs of coupling layers in f; 0 makes f the identity.
        hidden: Sizes of the hidden layers of each coupling.
        activation: What follows them.

    Example:
        >>> import torch
        >>> from latentcore.models import BlockRotation
        >>> turn, z = BlockRotation(latent=8), torch.randn(5, 8)
        >>> by = lambda degrees: torch.tensor([[degrees, 1.0, 0.0, 0.0]]).expand(5, 4)
        >>> bool(torch.allclose(turn(turn(z, by(20.0)), by(50.0)), turn(z, by(70.0)), atol=1e-5))
        True

    Reference:
        Bouchacourt, Ibrahim and Deny, "Addressing the topological defects of disentanglement via distributed
        operators", 2021; Dinh, Krueger and Bengio, "NICE: non-linear independent components estimation", 2015.
    """

    frequencies: Tensor

    def __init__(
        self,
        latent: int,
        max_frequency: int = 5,
        couplings: int = 0,
        hidden: tuple[int, ...] = (256,),
        activation: Activation = "silu",
    ) -> None:
        super().__init__()
        cycle = (*_CYCLE, *range(2, max_frequency + 1))
        planes = [float(cycle[plane % len(cycle)]) for plane in range(latent // 2)]
        self.register_buffer("frequencies", torch.tensor(planes))
        self.basis = nn.Parameter(torch.zeros(latent, latent))
        self.chart = nn.ModuleList(
            Coupling(latent, hidden, activation, flipped=flipped)
            for _ in range(couplings if latent > 1 else 0)  # a single axis has no halves
            for flipped in (False, True)
        )

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Turned latents (N, L), in float32 or better: half precision would blur a composition of several turns."""
        with torch.autocast(z.device.type, enabled=False):
            turned: Tensor = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
            for layer in self.chart:
                turned = layer(turned)
            q = self.orthogonal().to(turned.dtype)
            turned = self._turn(turned @ q, parameters[:, :1]) @ q.T
            for layer in reversed(self.chart):
                turned = layer.inverse(turned)  # type: ignore[operator]  # ModuleList forgets the kind of its members
            return turned

    def orthogonal(self) -> Tensor:
        """Q (L, L), the Cayley transform of the skew-symmetric part of the parameter."""
        skew = self.basis - self.basis.T
        one = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        # I + skew is never singular, so nothing needs to be checked, for which a GPU would wait
        q: Tensor = torch.linalg.solve_ex(one + skew, one - skew).result
        return q

    def _turn(self, z: Tensor, degrees: Tensor) -> Tensor:
        """Turn the planes of neighbouring axes."""
        # the whole turns are taken out first, for a large angle times a frequency has lost its digits
        radians = (degrees % 360).to(z.dtype) * self.frequencies.to(z.dtype) * (math.pi / 180)
        cosine, sine = radians.cos(), radians.sin()
        planes = 2 * len(self.frequencies)
        x, y = z[:, 0:planes:2], z[:, 1:planes:2]
        turned = torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=2).flatten(1)
        return torch.cat([turned, z[:, planes:]], dim=1)


class Coupling(nn.Module):
    """Adds to one half of the latents what an MLP makes of the other half; the inverse takes it away again."""

    def __init__(self, latent: int, hidden: tuple[int, ...], activation: Activation, *, flipped: bool) -> None:
        super().__init__()
        self.flipped = flipped
        self.cut = latent // 2
        read, written = (latent - self.cut, self.cut) if flipped else (self.cut, latent - self.cut)
        self.network = mlp((read, *hidden, written), activation)
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)  # the chart begins as the identity

    def forward(self, z: Tensor) -> Tensor:
        """f(z), (N, L)."""
        return self._add(z, 1.0)

    def inverse(self, z: Tensor) -> Tensor:
        """The inverse of f, (N, L)."""
        return self._add(z, -1.0)

    def _add(self, z: Tensor, sign: float) -> Tensor:
        first, second = z[:, : self.cut], z[:, self.cut :]
        if self.flipped:
            return torch.cat([first + sign * self.network(second), second], dim=1)
        return torch.cat([first, second + sign * self.network(first)], dim=1)
