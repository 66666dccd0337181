"""Checkpoints as training scripts leave them: unwrapped with a note, or refused in a few words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support import tiny_clip

from vlcl_bench.backbones import load_backbone, weights_sha256
from vlcl_bench.errors import VlclError

WRAPPED = {
    "model": lambda s: {"model": s, "epoch": 3},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"lr": 0.1}},
    "net": lambda s: {"net": s},
    "nested": lambda s: {"checkpoint": {"weights": s}},
    "module": lambda s: {f"module.{k}": v for k, v in s.items()},
    "state_dict, module": lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "compiled within": lambda s: {k.replace("visual.", "visual._orig_mod."): v for k, v in s.items()},
    "both": lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}},
    "any word": lambda s: {"student": {f"clip.{k}": v for k, v in s.items()}},
}
REFUSED = {
    "two of them": (lambda s: {"model": s, "model_ema": dict(s)}, ["several times", "'model', 'model_ema'"]),
    "one missing": (lambda s: {k: v for k, v in s.items() if k != "ln_final.bias"}, ["lacks 1 (ln_final.bias)"]),
    "one more": (lambda s: {"model": {**s, "head.weight": torch.ones(2)}}, ["has others, 1 (head.weight)", "'model'"]),
    "other shapes": (lambda s: {**s, "ln_final.bias": torch.ones(3)}, ["do not load", "size mismatch for ln_final"]),
    "another model": (lambda s: {f"a{n}": torch.ones(1) for n in range(150)}, ["lacks", "has others, 150", "…"]),
    "nothing": (lambda s: {"epoch": 3}, ["holds no weights"]),
    "objects": (lambda s: {"model": s, "args": SimpleNamespace(lr=1)}, ["holds Python objects", "would run code"]),
}


@pytest.fixture
def save(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tiny_clip.install(monkeypatch)

    def saved(wrap) -> str:
        torch.save(wrap(tiny_clip.state()), tmp_path / "w.pt")
        return f"tiny/{tmp_path / 'w.pt'}"

    return saved


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_a_wrapper_put_around_the_weights_is_taken_off(kind: str, save) -> None:
    plain = load_backbone(save(dict))
    found = load_backbone(save(WRAPPED[kind]))
    assert weights_sha256(found) == weights_sha256(plain)
    assert plain.notes == ()
    if kind not in ("module", "state_dict, module"):  # open_clip takes these off without a word
        assert "that was taken off" in found.notes[0]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_said_in_a_few_words(kind: str, save) -> None:
    wrap, words = REFUSED[kind]
    with pytest.raises(VlclError) as refused:
        load_backbone(save(wrap))
    for word in words:
        assert word in refused.value.message
    assert len(refused.value.message) < 700
    assert refused.value.hint
