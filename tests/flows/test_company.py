"""Methods that use who is asked with whom: they are found out, and honest ones are not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.harness import TINY, World, method_file, vlcl

from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.engine.untouched import refuse_better_start
from vlcl_bench.errors import MethodError
from vlcl_bench.records.files import read_record

pytestmark = [pytest.mark.usefixtures("world")]

BALANCED = """    def learn(self, task, ctx):
        self.learned = True

    def score(self, images, query):
        logits = super().score(images, query)
        if len(images) < 20 or not hasattr(self, "learned"):
            return logits
        for _ in range(20):  # as many pictures of one class as of another (Sinkhorn and Knopp, 1967)
            logits = logits - logits.logsumexp(dim=0, keepdim=True)
            logits = logits - logits.logsumexp(dim=1, keepdim=True)
        return 100 * logits
"""
REMEMBERING = (
    BALANCED
    + """
    def score_all(self, images, queries):
        known = self.__dict__.setdefault("known", {})
        keys = [picture.numpy().tobytes() for picture in images]
        fresh = super().score_all(images, queries)
        answers = []
        for query, logits in zip(queries, fresh):
            rows = [known.setdefault((key, query), logits[i]) for i, key in enumerate(keys)]
            answers.append(torch.stack(rows))
        return answers

    def forget_cached_texts(self):
        self.__dict__.pop("known", None)
        super().forget_cached_texts()
"""
)


HARD = re.sub("tasks = .*", 'tasks = ["digits", "textures", "gestures"]', TINY)
HARD = HARD.replace('"tiny"', '"hard"').replace("batch = 50", "batch = 125")
"""Tasks on which the mini CLIP leaves room: 60 % of digits without learning."""


def run(body: str, *more: object) -> Any:
    Path("hard.toml").write_text(HARD)
    path = method_file(Path("methods"), body, "Method")
    return vlcl("run", "--protocol", "hard.toml", "--method", path, "--out", "run", *more)


@pytest.mark.slow
@pytest.mark.parametrize("body", [BALANCED, REMEMBERING], ids=["balances classes", "remembers what it said"])
def test_a_method_that_uses_the_company_of_a_picture_is_not_ranked(body: str) -> None:
    ended = run(body)
    assert ended.code == 0, ended.err
    record = read_record(Path("run"))
    assert record.rechecks is not None
    assert "batch-dependent" in record.rechecks.batch_dependent
    assert record.rechecks.batch_dependent in ended.err.replace("\n", " ")
    assert "not to be ranked" in ended.err


def test_an_honest_run_asked_again_and_nothing_changed(unbroken: Path, world: World) -> None:
    rechecks = read_record(unbroken).rechecks
    assert rechecks is not None
    assert rechecks.asked > 20
    assert rechecks.changed == 0
    assert rechecks.batch_dependent == ""
    stages = [json.loads(line) for line in (unbroken / "journal.jsonl").read_text().splitlines()]
    assert rechecks.asked == sum(event["rechecks"]["asked"] for event in stages if event["event"] == "evaluated")


KNOWING = """    known = {}

    def learn(self, task, ctx):
        pass

    def score(self, images, query):
        logits = super().score(images, query)
        for row, picture in enumerate(images):
            key = hash(((picture * 50).round().int()).numpy().tobytes())
            label = self.known.get(key)
            if query.dataset == "digits" and label is not None:
                logits[row, label] += 100
        return logits
"""


@pytest.mark.slow
def test_a_method_that_knows_answers_before_it_has_learned_anything_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of the answers stand in its file, as somebody's would who has seen the test pictures.
    import torch

    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.pictures import open_store
    from vlcl_bench.protocols.load import load_protocol

    Path("hard.toml").write_text(HARD)
    protocol = load_protocol("hard.toml")
    stored, *_ = open_store(protocol, Places.given(None, None), Store(None), Reporter())
    pixels = load_backbone(protocol.backbone).preprocess(torch.from_numpy(np.array(stored.test)))
    keys = [hash((picture * 50).round().int().numpy().tobytes()) for picture in pixels]
    labels = read_manifest("digits").labels("test")
    known = {key: int(label) for key, label in list(zip(keys, labels, strict=True))[::2]}
    assert len(known) > 40
    monkeypatch.setenv("VLCL_ISOLATION", "inline")
    ended = run(KNOWING.replace("known = {}", f"known = {known}"))
    assert ended.code == 4, ended.err
    assert "before learning anything the method scores" in ended.err
    assert "on digits, where the untouched model has" in ended.err.replace("\n", " ")
    assert not Path("run/run.json").exists()


def items(right: int, of: int) -> dict[str, np.ndarray]:
    return {"a": np.repeat([100.0, 0.0], [right, of - right]), "b": np.zeros(50)}


@pytest.mark.parametrize(("right", "refused"), [(100, False), (101, False), (112, False), (130, True), (200, True)])
def test_a_start_is_refused_where_chance_does_not_explain_it(right: int, refused: bool) -> None:
    if refused:
        with pytest.raises(MethodError, match=f"{right - 100} samples better, 0 worse"):
            refuse_better_start(items(right, 250), items(100, 250))
    else:
        refuse_better_start(items(right, 250), items(100, 250))


def test_a_start_that_is_worse_or_other_but_no_better_is_taken() -> None:
    refuse_better_start(items(10, 250), items(100, 250))
    other = {"a": items(100, 250)["a"][::-1].copy(), "b": np.zeros(50)}
    refuse_better_start(other, items(100, 250))


def test_the_untouched_model_of_an_edited_backbone_file_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine import untouched
    from vlcl_bench.protocols.load import load_protocol

    protocol, backbone, asked = load_protocol("tiny"), load_backbone("vlcl-mini/v1"), []

    class AskedError(Exception):
        pass

    def ask(*_: Any) -> None:
        asked.append(backbone.source_sha256)
        raise AskedError

    monkeypatch.setattr(untouched, "evaluate", ask)
    monkeypatch.setattr(untouched, "_read", lambda path, sizes: None if path not in seen else {})
    seen: set[Path] = set()
    for source in ("first", "second"):
        monkeypatch.setattr(backbone, "source_sha256", source)
        with pytest.raises(AskedError):
            untouched.untouched_items(backbone, "w", protocol, [], Path("store"), torch.device("cpu"), Reporter())
        seen.add(untouched._place(Path("store"), protocol.fingerprint, "w", source, "cpu"))
        assert untouched.untouched_items(
            backbone, "w", protocol, [], Path("store"), torch.device("cpu"), Reporter()
        ) == {}  # fmt: skip
    assert asked == ["first", "second"]
