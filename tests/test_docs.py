"""The documentation: examples run, links lead somewhere, commands exist, and no page is missing in the index."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest
import typer
from support.harness import method_file, vlcl

from vlcl_bench.backbones.template import rendered
from vlcl_bench.cli.app import app
from vlcl_bench.records.files import read_record
from vlcl_bench.scoring.metrics import format_metric

ROOT = Path(__file__).parents[1]
FOLDERS = "vlcl_bench|baselines|tests|submissions|leaderboard|docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RULES.md")] + sorted((ROOT / "docs").glob("*.md"))
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What links may name behind ``#``: the headings as GitHub writes them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_readme_is_short_and_its_method_is_complete_small_and_has_one_import(world, tmp_path):
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) < 200
    (example,) = examples(readme)
    assert len(example.splitlines()) <= 25
    imports = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert modules == {"vlcl_bench.methods"}
    method = tmp_path / "my_method.py"
    method.write_text(example)
    ended = vlcl("run", "--protocol", "tiny", "--method", method, "--set", "pull=0.5", "--json")
    assert ended.code == 0, ended.err
    record = read_record(Path(ended.json["folder"]))
    assert (record.title, record.identity.settings["pull"]) == ("Half-way", 0.5)


def quick_run(folder: Path) -> tuple[object, ...]:
    """The beginning of a command that runs on the start of a backbone, which is much quicker than the mini CLIP."""
    path = folder / "quick.py"
    path.write_text(rendered("quick", 48))
    return "run", "--protocol", "tiny", "--backbone", path


@pytest.mark.slow
def test_the_backbones_page_shows_the_start_that_is_written_and_it_runs(world, tmp_path):
    (example,) = examples(ROOT / "docs" / "own-backbone.md")
    path = tmp_path / "my_backbone.py"
    assert vlcl("backbones", "new", path).code == 0
    assert path.read_text() == example
    ended = vlcl("run", "--protocol", "tiny", "--backbone", path, "--method", "zero_shot", "--json")
    assert ended.code == 0, ended.err
    identity = read_record(Path(ended.json["folder"])).identity
    assert identity.backbone == "my_backbone:MyBackbone"
    assert len(identity.backbone_source_sha256) == 64


def test_the_methods_page_sets_what_the_start_that_it_writes_has(tmp_path):
    page = (ROOT / "docs" / "own-method.md").read_text()
    (setting,) = set(re.findall(r"^    vlcl run .*--set (\w+)=", page, re.MULTILINE))
    assert vlcl("methods", "new", tmp_path / "my_method.py").code == 0
    assert f"{setting}:" in (tmp_path / "my_method.py").read_text()


@pytest.mark.slow
def test_the_methods_page_has_a_method_that_runs_and_keeps_what_it_says(world, tmp_path):
    (example,) = examples(ROOT / "docs" / "own-method.md")
    method = tmp_path / "my_method.py"
    method.write_text(example)
    ended = vlcl(*quick_run(tmp_path), "--method", method, "--set", "weight=0.5", "--json")
    assert ended.code == 0, ended.err
    record = read_record(Path(ended.json["folder"]))
    assert (record.title, record.identity.settings["weight"]) == ("Held features", 0.5)
    assert record.footprint.bytes_by_stage == [0, 4, 8]


@pytest.mark.slow
def test_modes_and_gradients_are_what_the_methods_page_says(world, tmp_path):
    body = """
    def learn(self, task, ctx):
        self._seen = {"learn": self.state()}
        super().learn(task, ctx)
        ctx.log(**{name: str(state) for name, state in self._seen.items()})

    def state(self):
        return self.training, self.backbone.training, torch.is_grad_enabled()

    def start(self, task, ctx):
        self._seen["start"] = self.state()

    def loss(self, batch, logits, ctx):
        self._seen["loss"] = self.state()
        return self.cross_entropy(batch, logits)

    def after_step(self, step):
        self._seen["after_step"] = self.state()

    def finish(self, task, ctx):
        self._seen["finish"] = self.state()

    def score(self, images, query):
        assert self.state() == (False, False, False)
        assert torch.is_inference_mode_enabled()
        return super().score(images, query)
"""
    ended = vlcl(*quick_run(tmp_path), "--method", method_file(tmp_path, body), "--json")
    assert ended.code == 0, ended.err
    record = read_record(Path(ended.json["folder"]))
    hooks = ("learn", "start", "loss", "after_step", "finish")
    said = [{name: line[name] for name in hooks} for line in record.log if "finish" in line]
    assert said == [dict.fromkeys(hooks, "(True, True, True)")] * 2


def test_the_lines_of_pandas_score_a_committed_run_as_its_record_does(monkeypatch):
    run = min((ROOT / "submissions" / "finetune" / "runs").iterdir())
    (example,) = examples(ROOT / "docs" / "records.md")
    assert "runs/0123456789abcdef" in example
    monkeypatch.chdir(ROOT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(example.replace("runs/0123456789abcdef", str(run)), {})
    metrics = read_record(run).scores["metrics"]
    words = [f"{label} {format_metric(metrics[key])}" for label, key in (("Transfer", "transfer"), ("Avg", "avg"))]
    assert printed.getvalue().splitlines()[-1] == ", ".join([*words, f"Last {format_metric(metrics['last'])}"])


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings_that_exist(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_of_the_code_that_are_named_exist(page):
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", page.read_text()):
        if not re.search(r"NAME|ROOM|METHOD|YOUR|my-entry", name):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_that_are_named_exist(page):
    known = typer.main.get_command(app)
    for first, second in re.findall(r"\bvlcl ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", page.read_text()):
        assert first in known.commands, first
        nested = getattr(known.commands[first], "commands", {})
        assert not nested or not second or second in nested, f"{first} {second}"


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    assert [path.name for path in PAGES[3:] if path.name != "README.md" and f"]({path.name})" not in index] == []
