"""What methods import: all of it from ``vlcl_bench.methods``, and what the first methods imported from elsewhere."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import playing
from support.fakes import FakeBackbone, make_context, make_task

import vlcl_bench.methods as facade
from vlcl_bench.methods.card import MethodCard, make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.source import baselines_folder
from vlcl_bench.methods.template import TEMPLATE
from vlcl_bench.tasks import Query

FIRST = '''
"""A method as they were written at first: imports from many places, older words for this and that."""

from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.blocks import Block, Towers, states_after, towers
from vlcl_bench.errors import IntegrityError, MachineError, MethodError, UsageError
from vlcl_bench.methods import Batch, Context, LossMethod, Method, Task
from vlcl_bench.methods.base import TEXTS_AT_ONCE, Config, FineTuneConfig
from vlcl_bench.methods.context import Batch, Context, shuffled
from vlcl_bench.methods.losses import (
    WeightEnsemble, alignment, consolidation, distillation, distillation_both_ways, fisher_weights, interpolate_,
    l2_to_anchor, snapshot, symmetric,
)
from vlcl_bench.methods.memory import PictureMemory, RowMemory, herd
from vlcl_bench.methods.synthetic import SyntheticConfig, SyntheticMethod
from vlcl_bench.tasks import LabelSet, Query, Task


class First(LossMethod):
    title = "First"
    auxiliary = ("pictures", "texts")

    class Config(FineTuneConfig):
        weight: float = 0.1

    def __init__(self, backbone: Backbone, config) -> None:
        super().__init__(backbone, config)
        self.memory = RowMemory(rows=next(iter(backbone.parameters())).new_empty((0, 0)))
        self.reference = nn.Linear(2, 3)  # a part that is called as the declaration is today

    def start(self, task: Task, ctx: Context) -> None:
        self.moving = dict(self.trainable_parameters())
        self.anchor = snapshot(self.moving.items())
        self.metered = []
        for rows in (next(shuffled(6, 4, ctx.generator("mine"))), next(ctx.reference_rows(task))):
            ctx.reference_images(rows % 6)
        assert ctx.reference.texts

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        self.metered.append(ctx.meter.task_pictures)
        return self.cross_entropy(batch, logits) + self.config.weight * l2_to_anchor(self.moving, self.anchor)

    def finish(self, task: Task, ctx: Context) -> None:
        meter = ctx.meter
        ctx.log(pictures=meter.task_pictures, reference=meter.reference_pictures, trained=len(meter.trained))
        self.memory.append(rows=self.embed_texts(task.prompts))

    def score(self, images: Tensor, query: Query) -> Tensor:
        same = Query(query.task, query.names, query.prompts)
        return self.backbone.logit_scale * self.embed_images(images) @ self.embed_query(same).T
'''


def imported(tree: ast.AST) -> set[str]:
    """The modules of this package that a file imports from."""
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {module for module in modules if module.partition(".")[0] == "vlcl_bench"}


def names_of(tree: ast.AST) -> set[str]:
    """What a file imports from the facade."""
    nodes = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "vlcl_bench.methods"
    ]
    return {alias.name for node in nodes for alias in node.names}


PAGES = {"auto_seed_vl2/claims.py"}  # a page of the board that lies beside its method and is none of its source
REFERENCE_FILES = sorted(
    path for path in baselines_folder().rglob("*.py") if str(path.relative_to(baselines_folder())) not in PAGES
)


@pytest.mark.parametrize("path", REFERENCE_FILES, ids=lambda path: str(path.relative_to(baselines_folder())))
def test_the_reference_methods_import_from_the_facade_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert imported(tree) <= {"vlcl_bench.methods"}
    assert names_of(tree) <= set(facade.__all__)


def test_reference_files_are_many_and_most_import_something() -> None:
    users = [path for path in REFERENCE_FILES if imported(ast.parse(path.read_text(encoding="utf-8")))]
    assert len(users) > 20


def test_the_template_and_the_example_import_from_the_facade_only() -> None:
    example = Path(__file__).parents[2] / "submissions" / "example-prototype" / "method.py"
    for text in (TEMPLATE.format(name="Mine", title="mine"), example.read_text(encoding="utf-8")):
        tree = ast.parse(text)
        assert imported(tree) == {"vlcl_bench.methods"}
        assert names_of(tree) <= set(facade.__all__)


def test_every_exported_name_is_there_and_is_what_its_own_module_has() -> None:
    assert sorted(facade.__all__) == sorted(facade._PLACES)
    for name in facade.__all__:
        assert getattr(facade, name) is getattr(importlib.import_module(facade._PLACES[name]), name)
    assert set(facade.__all__) <= set(dir(facade))
    with pytest.raises(AttributeError, match="no attribute 'Methode'"):
        facade.Methode  # noqa: B018


@pytest.mark.parametrize("module", ["losses", "memory"])
def test_all_shared_losses_and_memories_are_exported(module: str) -> None:
    tree = ast.parse((Path(facade.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    public = {
        node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
    }
    assert public <= set(facade.__all__)


@pytest.fixture
def first(tmp_path: Path) -> Any:
    path = tmp_path / "first.py"
    path.write_text(FIRST)
    return load_method(str(path))


def test_a_method_with_the_first_imports_and_words_runs(first: Any) -> None:
    torch.manual_seed(0)
    method = first(playing.WordyBackbone(), make_settings(first, {}, "full"))
    learner: Any = playing.play(method, 1, 2)
    report = learner.reports[1]
    assert report.log == [{"pictures": 6 * 8 - 8, "reference": 8, "trained": len(method.moving)}]
    assert method.metered[:3] == [8, 16, 20]
    assert (len(method.memory), report.usage.reference_pictures) == (6, 8)
    query = Query("task-1", ("dark", "grey"), (("a dark",), ("a grey",)))
    logits = learner.score(np.zeros((3, 4, 4, 3), np.uint8), [query])
    assert logits[0].shape == (3, 2)
    assert isinstance(method.reference, torch.nn.Linear)
    assert MethodCard.of(first, {}, "full").reference == ["pictures", "texts"]


def test_a_query_tells_its_data_set_also_under_the_first_name() -> None:
    query = Query("food", ("a",), (("an a",),))
    assert (query.dataset, query.task) == ("food", "food")
    with pytest.raises(AttributeError):
        query.task = "other"  # type: ignore[misc]


def test_what_was_metered_can_be_read_under_the_first_name_and_not_changed() -> None:
    ctx = make_context(FakeBackbone())
    next(ctx.batches(make_task()))
    ctx.replay(3)
    assert (ctx.meter.task_pictures, ctx.meter.replayed_samples) == (8, 3)
    assert (ctx.meter.trained, ctx.meter.seconds_synthesising) == (set(), 0.0)
    ctx.meter.replayed_samples += 100
    ctx.meter.trained.add("everything")
    assert (ctx.usage.replayed_samples, ctx.trained) == (3, set())
