"""Seeds: pairs (v, w) of a visual and a textual prototype in place of real examples, how they are made and chosen.

What the page on Auto-Seed VL2 says is named where it is honoured; all else is a reconstruction, marked as ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlcl_bench.methods import RowMemory

NOISE = 16
HIDDEN = 256
TEMPERATURE = 0.07


class SeedMemory(RowMemory):
    """Seeds of past tasks, as stored: half precision, ``v`` and ``w`` ``(n, d)``.

    ``labels`` are class ids within the data set (pseudo-classes of a captioned task), ``datasets`` the data set's place
    in the stream, ``tasks`` the number of the task, and ``ranks`` the order in which pruning picked a class's seeds.
    """

    v: Tensor
    w: Tensor
    labels: Tensor
    datasets: Tensor
    tasks: Tensor
    ranks: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(
            v=torch.empty(0, width, dtype=torch.float16),
            w=torch.empty(0, width, dtype=torch.float16),
            labels=torch.empty(0, dtype=torch.int16),
            datasets=torch.empty(0, dtype=torch.int16),
            tasks=torch.empty(0, dtype=torch.int16),
            ranks=torch.empty(0, dtype=torch.uint8),
        )

    def shrink_to(self, size: int) -> None:
        """Keep at most ``size`` seeds: every class's quota falls by one, its seed picked last goes first (ours).

        Where one seed a class is still too many, the task with most seeds gives up its last class, and so on; of
        equal tasks the newest. Deterministic.
        """
        while len(self) > size:
            highest = int(self.ranks.max())
            if highest > 0:
                self.keep((self.ranks < highest).nonzero()[:, 0])
                continue
            tasks, counts = self.tasks.unique(return_counts=True)
            largest = tasks[counts == counts.max()].max()
            last = self.labels[self.tasks == largest].max()
            self.keep((~((self.tasks == largest) & (self.labels == last))).nonzero()[:, 0])


def gradient_codes(images: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    """What the task's loss wants of each class, ``(c, 2d)``: the gradient codes that condition the generator (ours).

    For the summed cross-entropy of unit features ``(n, d)`` against ``(c, d)`` at scale 1: its gradient by a class's
    text feature over the number of its pictures, and the mean of its gradients by the class's pictures, in closed form
    ``(1/n_c) sum_n (p_nc - [y_n = c]) z_n`` and ``mean over the class of (sum_k p_nk W_k) - W_c``. At scale 1 the
    probabilities are nearly uniform, so that a code is nearly a centred class mean. A class without pictures has zeros.
    """
    hot = F.one_hot(labels, len(texts)).to(images.dtype)
    counts = hot.sum(dim=0).clamp_min(1)[:, None]
    apart = F.softmax(images @ texts.T, dim=1) - hot
    by_text = apart.T @ images / counts
    by_image = hot.T @ (apart @ texts) / counts
    return torch.cat([by_text, by_image], dim=1) * (hot.sum(dim=0) > 0)[:, None]


class SeedGenerator(nn.Module):
    """The hypernetwork G: codes ``(c, 2d)`` to seeds, each side a linear map of its code plus a small correction.

    ``v = norm(S_v g_text + m_v + o_v)``, ``w = norm(S_w g_image + m_w + o_w)``, ``(o_v, o_w) = MLP(code, noise)``. The
    maps begin at minus one, since a code is minus a centred mean; the offsets at zero, the MLP's output small. It is
    not told which class or text a code belongs to: it would learn the classes by heart, and the codes would not matter.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.maps = nn.Parameter(-torch.eye(width).repeat(2, 1, 1))
        self.offsets = nn.Parameter(torch.zeros(2, width))
        self.correction = nn.Sequential(
            nn.Linear(2 * width + NOISE, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(),
            nn.Linear(HIDDEN, 2 * width),
        )  # fmt: skip
        with torch.no_grad():
            for parameter in self.correction[-1].parameters():
                parameter.mul_(0.05)

    def forward(self, codes: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Seeds ``v`` and ``w`` ``(slots, c, d)``, unit, for noise ``(slots, c, NOISE)``."""
        slots = len(noise)
        small = self.correction(torch.cat([codes.expand(slots, -1, -1), noise], dim=-1))
        plain = torch.stack([codes[:, : self.width] @ self.maps[0].T, codes[:, self.width :] @ self.maps[1].T])
        found = plain[:, None] + self.offsets[:, None, None] + torch.stack(small.split(self.width, dim=-1))
        v, w = F.normalize(found, dim=-1)
        return v, w


def info_nce(anchors: Tensor, others: Tensor, labels: Tensor | None = None) -> Tensor:
    """Cross-entropy of each row of ``anchors`` with the row of ``others`` that ``labels`` names (default: its own)."""
    labels = torch.arange(len(anchors), device=anchors.device) if labels is None else labels
    return F.cross_entropy(anchors @ others.T / TEMPERATURE, labels)


def consistency(
    v: Tensor, w: Tensor, images: Tensor, labels: Tensor, texts: Tensor, fidelity: float, contrast: float
) -> Tensor:
    """How far seeds ``(slots, c, d)`` are from both manifolds, of pictures and of texts (the page's L_consist).

    ``fidelity`` times one minus the cosine of pictures with their class's mean seed, and of texts with theirs;
    ``contrast`` times InfoNCE of pictures to mean seeds, both ways between mean seeds and texts (half each), and half
    of it between the two kinds of mean seeds. Weights and form are ours.
    """
    mean_v, mean_w = F.normalize(v.mean(dim=0), dim=-1), F.normalize(w.mean(dim=0), dim=-1)
    near = (1 - (images * mean_v[labels]).sum(dim=1)).mean() + (1 - (texts * mean_w).sum(dim=1)).mean()
    total = fidelity * near
    if contrast:
        both = (info_nce(mean_w, texts) + info_nce(texts, mean_w)) / 2
        total = total + contrast * (info_nce(images, mean_v, labels) + both + info_nce(mean_v, mean_w) / 2)
    return total


def most_covering(candidates: Tensor, real: Tensor, count: int) -> list[int]:
    """Places of ``count`` of the candidates ``(k, d)`` that cover real features ``(n, d)`` best, by greedy choice.

    Facility location: each choice adds most to the sum, over real features, of the cosine with the nearest chosen one.
    Ties go to the lower place.
    """
    nearness = real @ candidates.T
    covered = torch.full((len(real),), -1.0, device=real.device)
    picked: list[int] = []
    for _ in range(min(count, len(candidates))):
        gains = torch.maximum(covered[:, None], nearness).sum(dim=0)
        gains[picked] = -torch.inf
        best = int(gains.argmax())
        picked.append(best)
        covered = torch.maximum(covered, nearness[:, best])
    return picked


def class_covariance(features: Tensor, labels: Tensor) -> Tensor:
    """Mean outer product ``(d, d)`` of the differences of features ``(n, d)`` from their class's mean."""
    hot = F.one_hot(labels).to(features.dtype)
    means = hot.T @ features / hot.sum(dim=0).clamp_min(1)[:, None]
    apart = features - means[labels]
    return apart.T @ apart / len(apart)


class Spreads(RowMemory):
    """How real features lie about their class's mean, in half precision: a mean over tasks of covariances.

    ``covariance`` ``(k, d, d)`` is of pictures and, on a stream of captions, of texts; ``tasks`` ``(k,)`` how many
    tasks are in the mean.
    """

    covariance: Tensor
    tasks: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(
            covariance=torch.empty(0, width, width, dtype=torch.float16), tasks=torch.empty(0, dtype=torch.int16)
        )

    def add(self, covariance: Tensor) -> None:
        """Take a task's covariances ``(k, d, d)`` into the mean."""
        count = self.tasks + 1 if len(self) else torch.ones(len(covariance), dtype=torch.int16)
        mean = self.covariance.to(covariance) if len(self) else torch.zeros_like(covariance)
        mean = mean + (covariance - mean) / count[:, None, None].to(covariance)
        self.keep(torch.arange(0))
        self.append(covariance=mean, tasks=count)

    def roots(self, isotropic: bool) -> list[Tensor]:
        """A root ``r`` ``(d, d)``, ``r r^T`` the mean covariance, of each side.

        ``isotropic`` spreads its trace evenly over all dimensions instead.
        """
        found = []
        for covariance in self.covariance.double():
            if isotropic:
                root = covariance.trace().div(len(covariance)).sqrt() * torch.eye(len(covariance)).to(covariance)
            else:
                values, vectors = torch.linalg.eigh(covariance)
                root = vectors * values.clamp_min(0).sqrt()  # rounding leaves tiny negative values
            found.append(root.float())
        return found


def jittered(features: Tensor, root: Tensor, generator: torch.Generator) -> Tensor:
    """Unit features ``(n, d)`` with Gaussian noise of covariance ``root root^T``, normalised again."""
    noise = torch.randn(features.shape, generator=generator).to(features)
    return F.normalize(features + noise @ root.T.to(features), dim=-1)


def pseudo_classes(texts: Tensor, count: int, seed: int) -> Tensor:
    """A pseudo-class for each unit text feature ``(n, d)``, by k-means with 15 rounds from one start (ours).

    At most ``count``, and no more than there are different texts; none is empty.
    """
    from sklearn.cluster import KMeans

    count = min(count, len(texts.unique(dim=0)))
    found = KMeans(count, n_init=1, max_iter=15, random_state=seed % 2**32).fit(texts.cpu().numpy())
    return torch.from_numpy(found.labels_).long().to(texts.device)
