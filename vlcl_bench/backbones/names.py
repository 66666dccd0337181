"""What a backbone is called here, for names as papers, OpenAI's package and the hub write them.

Nothing is taken for another model than it says: a name of the field is answered with the exact name to type, and only
where the size is the same. Weights are offered under the model whose activation they were trained with.
"""

from __future__ import annotations

import re
from pathlib import Path

import open_clip

from vlcl_bench.backbones.activation import TWIN, has_quick_gelu
from vlcl_bench.data.world import worlds
from vlcl_bench.errors import did_you_mean, near_names, quoted, words_of

HUB = re.compile(r"^(?:https?://[^/]+/|hf[-_]hub:|hf:)", re.IGNORECASE)
MODEL = re.compile(
    r"(?:open_?ai|clip|[-_ /:])*"
    r"(?:(?P<resnet>(?:rn|resnet)[-_ ]?(?:50|101)(?:x\d+)?)|(?:vit[-_ ]?)?(?P<size>base|large|huge|bigg|[blhg]))"
    r"(?:[-_ /]*(?:patch)?(?P<patch>\d+))?(?:[-_ @]*(?P<side>\d{3})(?:px)?)?(?:[-_ /:,]*open_?ai)?",
    re.IGNORECASE,
)
"""OpenAI's models as they are written: ``ViT-B/16``, ``CLIP ViT-L/14@336px``, ``clip-vit-base-patch16``, ``RN50``."""
SIGLIP = re.compile(
    r"(?:google/)?(?P<kind>siglip2?)-(?P<size>base|large|so400m)-patch(?P<patch>\d+)-(?P<side>\d+)", re.IGNORECASE
)
LETTERS = {"base": "B", "large": "L", "huge": "H", "so400m": "SO400M", "G": "bigG"}
LIKENESS = 0.7
"""Least likeness of a suggestion: the names of architectures are short, and many are alike."""
ALL = "`vlcl backbones` lists all names; `vlcl backbones new my_backbone.py` writes a start that wraps another encoder."
CLIP_SIDE = "224"
"""Side of the pictures of models whose name has none."""


def published() -> tuple[str, ...]:
    """``<model>/<tag>`` of all weights that open_clip knows, each under a model with their activation."""
    found = []
    for model, tag in open_clip.list_pretrained():
        quick = bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu", False))
        if quick == has_quick_gelu(model):
            found.append(f"{model}/{tag}")
    return tuple(found)


def shipped() -> tuple[str, ...]:
    """The backbones that come with the installed worlds."""
    return tuple(sorted(name for world in worlds() for name in world.backbones()))


def weights_for(model: str) -> list[str]:
    """The whole names of all weights for an architecture, with either activation; OpenAI's first."""
    models = (model.removesuffix(TWIN), model.removesuffix(TWIN) + TWIN)
    names = [name for name in (*shipped(), *published()) if name.rpartition("/")[0] in models]
    return sorted(names, key=lambda name: not name.endswith("/openai"))


def advice(name: str) -> str:
    """What to type instead of a name that is no backbone's."""
    if Path(f"{name}.py").is_file():
        return f"Did you mean the file {name}.py?"
    place = Path(name).expanduser()
    if place.is_file():
        return f"A checkpoint needs its model's name before it, for instance ViT-B-16/{name}."
    asked = HUB.sub("", name.strip().strip("'\"")).rstrip("/")
    exact = _of_hub(asked) or _spelled(asked)
    if exact:
        return did_you_mean(exact)
    if model := _of_field(asked):
        return _weights_of(model)
    if HUB.match(name):
        return _own_way(asked)
    return _similar(asked)


def _weights_of(model: str) -> str:
    """Which names to type for an architecture that was named without its weights."""
    names = weights_for(model)
    if not names:
        return no_weights(model)
    if names[0].endswith("/openai"):
        others = f" Other weights of this model: {quoted(names[1:])}." if names[1:] else ""
        return f"OpenAI's weights are called {names[0]!r} here.{others}"
    return did_you_mean(names)


def no_weights(model: str) -> str:
    """What to type where a model of open_clip is named and no weights."""
    names = weights_for(model)
    own = f"{model}/<checkpoint file>"
    return f"Write {quoted(names)}, or {own}." if names else f"Write {own}."


def other_weights(model: str, weights: str) -> str:
    """What to type where ``weights`` are neither a file nor a tag of the model."""
    if "/" in weights or Path(weights).suffix in (".pt", ".pth", ".bin", ".safetensors", ".ckpt"):
        return f"There is no file {weights} here. {no_weights(model)}"
    tags = {name.rpartition("/")[2]: name for name in weights_for(model)}
    near, meant = near_names(weights, tags)
    return did_you_mean([tags[tag] for tag in near]) if near and meant else no_weights(model)


def _of_hub(asked: str) -> list[str]:
    """open_clip's names of the weights in a repository of the hub, named with or without its owner."""
    wanted, found = asked.casefold(), []
    for name in published():
        repo = "/".join(open_clip.get_pretrained_cfg(*name.rsplit("/", 1)).get("hf_hub", "").split("/")[:2]).casefold()
        if repo and wanted in (repo, repo.partition("/")[2]):
            found.append(name)
    return found


def _spelled(asked: str) -> list[str]:
    """Names that are the same but for capitals, marks, a letter, the order of their parts or the activation's word.

    A tag may be cut short (``ViT-B/16 laion400m``); an architecture may not.
    """
    names = (*shipped(), *published())
    if same := [name for name in names if words_of(name) == words_of(asked)]:
        return same
    words = words_of(asked)
    for turned in (words, (*words[1:], words[0])) if words else ():
        bases = {words_of(name.rpartition("/")[0].removesuffix(TWIN)) for name in names}
        bases = {base for base in bases if turned[: len(base)] == base}
        if not bases:
            continue
        base = max(bases, key=len)
        rest = "".join(word for word in turned[len(base) :] if word != TWIN.strip("-"))
        found = [
            name
            for name in names
            if words_of(name.rpartition("/")[0].removesuffix(TWIN)) == base
            and "".join(words_of(name.rpartition("/")[2])).startswith(rest or " ")
        ]
        if found:
            return found
    return []


def _of_field(asked: str) -> str:
    """The architecture in open_clip that a name of the field means, if it has one of that size."""
    known = {model.casefold(): model for model in open_clip.list_models()}
    if found := SIGLIP.fullmatch(asked):
        model = f"ViT-{LETTERS[found['size'].lower()]}-{found['patch']}-{found['kind']}"
        sides = ("", f"-{found['side']}") if found["side"] == CLIP_SIDE else (f"-{found['side']}",)
        return next((known[name] for side in sides if (name := (model + side).casefold()) in known), "")
    if not (found := MODEL.fullmatch(asked)):
        return ""
    if found["resnet"]:
        resnet = re.sub(r"^(?:rn|resnet)[-_ ]?", "rn", found["resnet"].casefold())
        return "" if found["patch"] or found["side"] else known.get(resnet, "")
    size = LETTERS.get(found["size"], LETTERS.get(found["size"].casefold(), found["size"]))
    side = "" if found["side"] in (None, CLIP_SIDE) else f"-{found['side']}"
    return known.get(f"vit-{size}-{found['patch']}{side}".casefold(), "")


def _own_way(repo: str) -> str:
    """How weights of the hub that open_clip does not list are used."""
    return (
        "open_clip does not list this repository. If it has an open_clip_config.json: "
        f"`hf download {repo} --local-dir FOLDER`, then the backbone local-dir:FOLDER. {ALL}"
    )


def _similar(asked: str) -> str:
    """The nearest whole name or architectures; where there is none, where to look."""
    names, models = (*shipped(), *published()), open_clip.list_models()
    model, _, rest = asked.partition("/")
    near, meant = near_names(asked, names, cutoff=LIKENESS)
    if meant and near and len(words_of(near[0])) == len(words_of(asked)):
        return did_you_mean(near)
    # The slash of "ViT-B/8" is the architecture's own.
    near, meant = near_names(asked if rest[:1].isdecimal() else model, models, cutoff=LIKENESS)
    if near and meant:
        return did_you_mean(near) if len(near) > 1 else _weights_of(near[0])
    if near:
        return f"Similar in name, but something else: {quoted(near)}. {ALL}"
    return _own_way(asked) if asked.count("/") == 1 and not rest[:1].isdecimal() else ALL
