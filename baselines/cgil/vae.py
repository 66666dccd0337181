"""Variational autoencoders of features, one a class, trained side by side (Kingma and Welling, 2014)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vlcl_bench.methods import RowMemory

SMALLEST = 1e-8
"""Least variance of a decoder, so that its logarithm exists."""


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of diagonal Gaussians ``(..., l)`` from the standard normal one, ``(...)``."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)


class Decoders(RowMemory):
    """Decoders of past classes, a row each: latent ``(n, l)`` by one hidden layer (ReLU) to features ``(n, d)``.

    ``deviations`` are the standard deviations of features about what is decoded. ``labels``, ``datasets`` and
    ``tasks`` are those of the class.
    """

    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    out_bias: Tensor
    deviations: Tensor
    labels: Tensor
    datasets: Tensor
    tasks: Tensor

    def __init__(self) -> None:
        super().__init__(
            hidden=torch.empty(0, 0, 0),
            hidden_bias=torch.empty(0, 1, 0),
            out=torch.empty(0, 0, 0),
            out_bias=torch.empty(0, 1, 0),
            deviations=torch.empty(0),
            labels=torch.empty(0, dtype=torch.int16),
            datasets=torch.empty(0, dtype=torch.int16),
            tasks=torch.empty(0, dtype=torch.int16),
        )

    def sample(self, row: int, count: int, generator: torch.Generator) -> Tensor:
        """Features ``(count, d)`` of one class, of any length: a decoded latent with noise about it."""
        latent, width = self.hidden.shape[1], self.out.shape[2]
        z = torch.randn(count, latent, generator=generator).to(self.out.device)
        noise = torch.randn(count, width, generator=generator).to(self.out.device)
        states = F.relu(z @ self.hidden[row] + self.hidden_bias[row])
        return states @ self.out[row] + self.out_bias[row] + self.deviations[row] * noise


class ClassVAEs:
    """Autoencoders of ``classes`` classes with a hidden layer on either side; weights have a leading dimension (c).

    Unit features are scaled to entries of about 1, for which the first weights are made. A decoder's variance is the
    mean squared error itself, the value of highest likelihood (Rybkin et al., "Simple and Effective VAE Training with
    Calibrated Decoders", ICML 2021), so that no weight of the two terms must be chosen.
    """

    def __init__(self, classes: int, width: int, hidden: int, latent: int, generator: torch.Generator) -> None:
        self.latent, self.generator = latent, generator
        shapes = {
            "encode": (width, hidden), "code": (hidden, 2 * latent), "decode": (latent, hidden), "give": (hidden, width)
        }  # fmt: skip
        self.weights: dict[str, Tensor] = {}
        for name, (inputs, outputs) in shapes.items():
            for part, size in ((name, (classes, inputs, outputs)), (f"{name}_bias", (classes, 1, outputs))):
                drawn = torch.rand(size, generator=generator) * 2 - 1
                self.weights[part] = (drawn / math.sqrt(inputs)).requires_grad_()

    def _layer(self, name: str, given: Tensor) -> Tensor:
        return torch.baddbmm(self.weights[f"{name}_bias"], given, self.weights[name])

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance ``(c, n, l)`` of the latents of features ``(c, n, d)``."""
        mean, log_variance = self._layer("code", F.relu(self._layer("encode", features))).chunk(2, dim=-1)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """Features ``(c, n, d)`` for latents ``(c, n, l)``."""
        return self._layer("give", F.relu(self._layer("decode", latents)))

    def loss(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Negative evidence bound for each class ``(c,)``, mean over its features, up to a constant; and the errors.

        The latter are the mean squared errors ``(c,)``, a dimension.
        """
        mean, log_variance = self.encode(features)
        noise = torch.randn(mean.shape, generator=self.generator).to(mean)
        errors = (self.decode(mean + (log_variance / 2).exp() * noise) - features).square().mean(dim=(1, 2))
        rebuilt = features.shape[-1] / 2 * errors.clamp_min(SMALLEST).log()
        return rebuilt + kl_to_standard_normal(mean, log_variance).mean(dim=1), errors

    def fit(self, features: Tensor, labels: Tensor, steps: int, batch: int, rate: float) -> Tensor:
        """Train with Adam on unit features ``(n, d)`` of classes ``(n,)``; returns the decoders' deviations ``(c,)``.

        Every step draws ``batch`` features of each class, with replacement. Parameters of different classes do not
        meet, so that the sum of their losses trains each as it would be trained alone.
        """
        classes, features = len(self.weights["encode"]), features * math.sqrt(features.shape[1])
        counts = torch.bincount(labels, minlength=classes).cpu()
        order = labels.argsort(stable=True).cpu()
        first = (counts.cumsum(0) - counts)[:, None]

        def drawn(size: int) -> Tensor:
            places = (torch.rand(classes, size, generator=self.generator) * counts[:, None]).long()
            return features[order[first + places.clamp_max(counts[:, None] - 1)].to(features.device)]

        self.weights = {name: w.detach().to(features.device).requires_grad_() for name, w in self.weights.items()}
        optimizer = torch.optim.Adam(self.weights.values(), lr=rate, fused=features.device.type in ("cpu", "cuda"))
        for _ in range(steps):
            optimizer.zero_grad()
            self.loss(drawn(batch))[0].sum().backward()
            optimizer.step()
        with torch.no_grad():
            return self.loss(drawn(256))[1].clamp_min(SMALLEST).sqrt()
