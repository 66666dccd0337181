"""Adapters as a mixture of experts in every transformer block (MoE-Adapters4CL; Yu et al., CVPR 2024)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlcl_bench.methods import Block, Towers

NOISE_FLOOR = 0.01
"""Smallest standard deviation of the gate's noise (the released code's ``noise_epsilon``)."""

Tasks = int | Tensor
"""Whose router decides: a task's number for all sequences, or ``(n,)`` of them; 0 is the untouched model."""


class Mixture(nn.Module):
    """The experts of one block, shared by all tasks, and a router for each task.

    An expert is ``scale * up(dropout(relu(down(u))))`` of width d to ``hidden`` and back. A router reads token 0 of the
    states u ``(n, length, d)`` and picks the ``top`` experts of the largest gate logits, weighed by a softmax over
    these; while a task is learned, noise of a learned size is added to the logits (Shazeer et al., ICLR 2017,
    equations 3 to 5). ``frozen`` marks experts that have stopped to learn, ``used`` counts how often each was picked
    while the current task was learned.
    """

    frozen: Tensor
    used: Tensor

    def __init__(self, width: int, experts: int, hidden: int, top: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.width, self.top, self.scale, self.dropout = width, min(top, experts), scale, dropout
        # As a linear layer is initialised, Kaiming-uniform with a = sqrt(5): within 1 / sqrt(d).
        self.down = nn.Parameter((torch.rand(experts, hidden, width) * 2 - 1) / math.sqrt(width))
        self.down_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.up = nn.Parameter(torch.zeros(experts, hidden, width))
        self.up_bias = nn.Parameter(torch.zeros(experts, width))
        self.routers = nn.ParameterList()
        self.noises = nn.ParameterList()
        self.register_buffer("frozen", torch.zeros(experts, dtype=torch.bool))
        self.register_buffer("used", torch.zeros(experts, dtype=torch.int64), persistent=False)

    def experts(self) -> dict[str, nn.Parameter]:
        """The experts' weights by name."""
        return {"down": self.down, "down_bias": self.down_bias, "up": self.up, "up_bias": self.up_bias}

    def add_router(self, trained: bool = True) -> None:
        """A router for one more task, all zeros as published; one that is not ``trained`` waits for saved values."""
        for group in (self.routers, self.noises):
            zeros = self.down.new_zeros(self.width, len(self.frozen))
            group.append(nn.Parameter(zeros, requires_grad=trained))

    def begin_task(self) -> None:
        """A new router, counts from zero, and no gradient for frozen experts.

        An optimiser without weight decay and with fresh state does not move what has had no gradient but zero.
        """
        self.add_router()
        self.used.zero_()
        self._hooks = [weights.register_hook(self._masked) for weights in self.experts().values()]

    def _masked(self, gradient: Tensor) -> Tensor:
        return gradient * (~self.frozen).view(-1, *[1] * (gradient.dim() - 1))

    def end_task(self, freeze: int) -> None:
        """Freeze the ``freeze`` experts that were used most (of equals the first), and the task's router."""
        for hook in self._hooks:
            hook.remove()
        del self._hooks
        most = self.used.sort(descending=True, stable=True).indices[:freeze]
        self.frozen[most] = True
        for group in (self.routers, self.noises):
            group[-1].requires_grad_(False)

    def route(self, first: Tensor, tasks: Tasks, learning: bool) -> tuple[Tensor, Tensor]:
        """Experts ``(n, top)`` for the token 0 states ``(n, d)`` and their weights ``(n, top)``, which sum to 1."""
        if isinstance(tasks, int):
            logits = first @ self.routers[tasks - 1]
        else:
            every = torch.stack(list(self.routers))  # of task 0, which has none, any will do: it is switched off
            of_picture = every.index_select(0, (tasks - 1).clamp(min=0))
            logits = torch.bmm(first.unsqueeze(1), of_picture).squeeze(1)
        if learning and isinstance(tasks, int):
            spread = F.softplus(first @ self.noises[tasks - 1]) + NOISE_FLOOR
            logits = logits + torch.randn_like(logits) * spread
        best, chosen = logits.topk(self.top, dim=1)
        if learning:
            with torch.no_grad():
                flat = chosen.flatten()
                self.used.index_add_(0, flat, torch.ones_like(flat))
        return chosen, best.softmax(dim=1)

    def forward(self, states: Tensor, tasks: Tasks, learning: bool = False, alike: bool = False) -> Tensor:
        """What the chosen experts add to the block's output, ``(n, length, d)`` as ``states``.

        ``alike`` says that token 0 is the same in all sequences and no noise is drawn, so that one choice holds for
        all. Rows of task 0 get exactly nothing.
        """
        chosen, weights = self.route(states[:1, 0] if alike else states[:, 0], tasks, learning)
        n, top = chosen.shape
        flat = chosen.flatten()
        down = self.down.index_select(0, flat).view(n, -1, self.width)
        down_bias = self.down_bias.index_select(0, flat).view(n, 1, -1)
        up = self.up.index_select(0, flat).view(n, -1, self.width)
        up_bias = self.up_bias.index_select(0, flat).view(n, top, self.width)
        gates = weights * self.scale
        if not isinstance(tasks, int):
            gates = gates * (tasks > 0).unsqueeze(1)
        by_unit = gates.repeat_interleave(down.shape[1] // top, dim=1).unsqueeze(1)
        offset = torch.bmm(gates.unsqueeze(1), up_bias)
        if n == 1 and len(states) > 1:
            inside = F.relu(states @ down[0].T + down_bias)
            return F.dropout(inside, self.dropout, learning) * by_unit @ up[0] + offset
        inside = F.relu(torch.baddbmm(down_bias, states, down.transpose(1, 2)))
        return torch.baddbmm(offset, F.dropout(inside, self.dropout, learning) * by_unit, up)


class Mixtures(nn.Module):
    """A mixture in every block of both encoders, put there by hooks and taken away by :meth:`remove`.

    Which routers decide is said by :meth:`routed`; outside of it the encoders are the untouched ones, to the bit.
    """

    def __init__(self, found: Towers, **settings: Any) -> None:
        super().__init__()
        self.image = nn.ModuleList(Mixture(block.width, **settings) for block in found.image)
        self.text = nn.ModuleList(Mixture(block.width, **settings) for block in found.text)
        self.causal = found.causal
        self.image_tasks: Tasks | None = None
        self.text_tasks: int | None = None
        self.learning = False
        self._handles = [
            handle
            for kind, blocks in (("image", found.image), ("text", found.text))
            for place, block in enumerate(blocks)
            for handle in _attach(_Tap(self, kind, place, block.batch_first), block)
        ]

    def remove(self) -> None:
        """Take the hooks off: the backbone is as it was."""
        for handle in self._handles:
            handle.remove()

    def all(self) -> Iterator[tuple[str, Mixture]]:
        """Every mixture with its name."""
        for kind, group in (("image", self.image), ("text", self.text)):
            for place, mixture in enumerate(group):
                assert isinstance(mixture, Mixture)
                yield f"{kind}.{place}", mixture

    @contextmanager
    def routed(self, image: Tasks | None = None, text: int | None = None, learning: bool = False) -> Iterator[None]:
        """Within it the routers of these tasks decide; ``None`` leaves an encoder untouched."""
        before = self.image_tasks, self.text_tasks, self.learning
        untouched = isinstance(image, int) and image == 0
        self.image_tasks, self.text_tasks, self.learning = None if untouched else image, text or None, learning
        try:
            yield
        finally:
            self.image_tasks, self.text_tasks, self.learning = before

    @torch.no_grad()
    def unfrozen(self, kind: str, tasks: int, encode: Any) -> Tensor:
        """Which sequences that ``encode()`` encodes meet an expert that still learns, ``(n,)`` bool."""
        met: list[Tensor] = []
        handles = [
            mixture.register_forward_pre_hook(lambda own, given: met.append(_meets_unfrozen(own, given[0], tasks)))
            for name, mixture in self.all()
            if name.startswith(kind)
        ]
        try:
            with self.routed(image=tasks if kind == "image" else None, text=tasks if kind == "text" else None):
                encode()
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(met).any(dim=0)


def _meets_unfrozen(mixture: Any, states: Tensor, tasks: int) -> Tensor:
    chosen, _ = mixture.route(states[:, 0], tasks, learning=False)
    return (~mixture.frozen)[chosen].any(dim=1)


class _Tap:
    """What the hooks of one block call: keep the input of its second norm, add the mixture's answer to its output.

    An object and not a closure, so that a copy of the backbone together with its mixtures is hooked to the copies.
    """

    def __init__(self, owner: Mixtures, kind: str, place: int, batch_first: bool) -> None:
        self.owner, self.kind, self.place, self.batch_first = owner, kind, place, batch_first
        self.states: Tensor | None = None

    @property
    def tasks(self) -> Tasks | None:
        return self.owner.image_tasks if self.kind == "image" else self.owner.text_tasks

    def keep(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if self.tasks is not None:
            self.states = given[0]

    def add(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        tasks, states = self.tasks, self.states
        self.states = None
        if tasks is None or states is None:
            return output
        if not self.batch_first:
            states = states.transpose(0, 1)
        group = self.owner.image if self.kind == "image" else self.owner.text
        # Under a causal mask the start token sees only itself: without noise all texts are routed alike.
        alike = self.kind == "text" and self.owner.causal and not self.owner.learning
        extra = group[self.place](states, tasks, self.owner.learning, alike)
        return output + (extra if self.batch_first else extra.transpose(0, 1))


def _attach(tap: _Tap, block: Block) -> list[Any]:
    return [
        block.second_norm.register_forward_pre_hook(tap.keep),
        block.module.register_forward_hook(tap.add),
    ]
