"""The names that the mini diffusion model knows: things that the mini CLIP was pretrained on, by category.

They are also the base of the prompts for synthetic pictures on the mini protocols, as ImageNet's names are on the full
ones.
"""

from __future__ import annotations

import functools

from vlcl_bench.mini import corpus, openmoji
from vlcl_bench.mini.domains import sketches
from vlcl_bench.mini.pictures import seeded

FAMILIES = {
    "nature": ("plants", "animals"),
    "food": ("food",),
    "travel": ("vehicles", "overhead", "scenes"),
    "things": ("objects", "textures", "strokes"),
}
"""The families of drawings of our own in each category."""
EMOJI = {
    "nature": ("Animals & Nature",),
    "food": ("Food & Drink",),
    "travel": ("Travel & Places",),
    "things": ("Objects", "Activities"),
}
"""Unicode's categories of the emoji in each."""
SIZE = 300


@functools.cache
def names_by_category() -> dict[str, tuple[str, ...]]:
    """Three hundred names: all of the families, the rest emoji with short names of their own, drawn evenly."""
    found = {kind: [name for family in families for name in sketches(family)] for kind, families in FAMILIES.items()}
    taken = {name for names in found.values() for name in names}
    pools = {}
    for kind, categories in EMOJI.items():
        names = [e.name for e in openmoji.catalogue() if e.category in categories and len(e.name.split()) <= 2]
        fresh = [name for name in dict.fromkeys(names) if name not in taken and name.isascii()]
        seeded(f"mini diffusion {kind}").shuffle(fresh)
        pools[kind] = fresh
    # The category with the fewest names takes the next one, until all are there.
    for _ in range(SIZE - len(taken)):
        kind = min((kind for kind in found if pools[kind]), key=lambda kind: len(found[kind]))
        name = pools[kind].pop(0)
        found[kind].append(name)
    return {kind: tuple(names) for kind, names in found.items()}


@functools.cache
def names() -> tuple[str, ...]:
    """All names, category by category."""
    return tuple(name for names in names_by_category().values() for name in names)


@functools.cache
def examples() -> tuple[corpus.Example, ...]:
    """The pretraining pictures that show one of the names; no picture of any task is among them."""
    wanted = frozenset(names())
    return tuple(example for example in corpus.corpus() if example.concept in wanted)
