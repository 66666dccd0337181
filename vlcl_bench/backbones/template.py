"""The start that ``vlcl backbones new`` writes: a dual encoder that runs as it is."""

from __future__ import annotations

from pathlib import Path

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.errors import UsageError

TEMPLATE = '''"""{title}: a dual encoder of your own. Put your towers and your weights in; the rest may stay."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone


class {name}(Backbone):
    """Two small towers into one space. Their weights are random, so zero-shot is at chance until you load some."""

    image_size = {side}  # side of the pictures in pixels, as the protocol has them
    mean = std = (0.5, 0.5, 0.5)  # of each channel, for pixels in 0..1: pictures are normalised with them
    context_length = 77  # longest text, in tokens

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 64, kernel_size=8, stride=8)
        self.image_head = nn.Sequential(nn.GELU(), nn.Linear(64, 64))
        self.characters = nn.Embedding(257, 64)
        self.text_head = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64))
        self.register_buffer("scale", torch.tensor(20.0))
        # Your weights, from a file beside this one:
        # self.load_state_dict(torch.load(pathlib.Path(__file__).with_name("weights.pt"), weights_only=True))

    def encode_image(self, images: Tensor) -> Tensor:
        """Normalised pictures (n, 3, s, s) to features (n, d); the harness gives them unit length."""
        return self.image_head(self.patches(images).mean(dim=(2, 3)))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Tokens (n, length) to features (n, d). Padding must change nothing: texts come in batches of any length."""
        used = (tokens > 0).unsqueeze(-1)
        return self.text_head((self.characters(tokens) * used).sum(dim=1) / used.sum(dim=1))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts to tokens (n, length), cut at context_length; here the bytes of a text, and 0 to fill up."""
        rows = [[byte + 1 for byte in (text or " ").encode()[: self.context_length]] for text in texts]
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied with: CLIP's is 100. It is not trained."""
        return self.scale
'''


def write_template(path: Path, side: int) -> Path:
    """Write a start for a backbone that takes pictures of ``side`` pixels.

    Raises :class:`UsageError` where the file exists or is not a ``.py``, and for a side below 8, its patches' own.
    """
    if path.suffix != ".py":
        raise UsageError(f"{path} is not a Python file", f"For instance: vlcl backbones new {path.stem or 'mine'}.py")
    if path.exists():
        raise UsageError(f"{path} exists already", "Choose another name, or delete it.")
    if side < 8:
        raise UsageError(f"pictures of {side} pixels are too small", "Name the protocol's size, at least 8 pixels.")
    return write_atomic(path, rendered(path.stem, side))


def rendered(stem: str, side: int) -> str:
    """The file's text for a name and a size of pictures."""
    words = [word for word in stem.replace("-", "_").split("_") if word]
    name = "".join(word[0].upper() + word[1:] for word in words)
    return TEMPLATE.format(
        title=" ".join(words) or "my backbone", name=name if name.isidentifier() else "MyBackbone", side=side
    )
