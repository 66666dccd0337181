"""``import vlcl_bench`` in a notebook: the same runs, numbers and refusals as on the command line."""

from __future__ import annotations

import json
import linecache
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.harness import TASKS, method_file, vlcl

import vlcl_bench
from vlcl_bench.cli import notebook as notebook_module
from vlcl_bench.cli import results
from vlcl_bench.common.progress import Reporter
from vlcl_bench.common.tokens import token_digest
from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.methods.class_source import ClassRef, class_digest

pytestmark = pytest.mark.usefixtures("world")

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
JOINTLY_COMPARED = SUBMISSIONS / "finetune/runs/0667a1fdeca75002"
"""Of a stream for which the package has a jointly trained reference."""

CELL = """
import torch
from vlcl_bench.methods import LossMethod

SCALE = 0.5


def penalty(drift):
    return SCALE * drift


class Mine(LossMethod):
    title = "Mine"

    def loss(self, batch, logits, ctx):
        return self.cross_entropy(batch, logits) + penalty(0.0)
"""


@pytest.fixture
def notebook(request):
    """Runs the text of a cell as a notebook does, and returns what it defines."""
    module, cells = ModuleType(f"notebook_{request.node.name}"), []
    sys.modules[module.__name__] = module

    def run_cell(text):
        name = f"<cell {module.__name__} {len(cells)}>"
        cells.append(name)
        linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
        exec(compile(text, name, "exec"), vars(module))
        return module

    yield run_cell
    del sys.modules[module.__name__]
    for name in cells:
        linecache.cache.pop(name, None)


# Without torch


def test_protocols_and_records_are_read_and_scored_without_torch(finished: Path) -> None:
    committed = next(iter(sorted((Path(__file__).parents[2] / "submissions/finetune/runs").glob("*/"))))
    program = f"""
import sys
sys.modules["torch"] = None  # importing it raises
import vlcl_bench
assert not {{"numpy", "pandas", "pydantic"}} & set(sys.modules), "importing the package imports what is slow"
protocol = vlcl_bench.load_protocol("mini-mtil-1")
record = vlcl_bench.read_record({str(committed)!r})
assert len(protocol.fingerprint) == 64 and len(protocol.tasks) == 11
assert vlcl_bench.score({str(committed)!r}).metrics["avg"] == record.scores["metrics"]["avg"]
print(record.title)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "Continual-FT\n"), ended.stderr


def test_the_names_of_the_package_are_listed_and_all_there() -> None:
    assert set(vlcl_bench.__all__) <= set(dir(vlcl_bench))
    assert all(getattr(vlcl_bench, name) is not None for name in vlcl_bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        vlcl_bench.runn  # noqa: B018
    assert (Path(vlcl_bench.__file__).parent / "py.typed").exists()


# Runs


def test_a_run_is_the_one_of_the_command(finished: Path, tmp_path: Path) -> None:
    run = vlcl_bench.run(protocol="tiny", method="finetune", out=tmp_path / "again", progress=False)
    command = vlcl_bench.read_record(finished)
    assert run.record.predictions_sha256 == command.predictions_sha256
    assert run.record.run_hash == command.run_hash
    assert run.folder == tmp_path / "again"
    assert run.tasks == TASKS
    np.testing.assert_array_equal(run.R, command.scores["matrix"])
    np.testing.assert_array_equal(run.zero_shot, command.scores["zero_shot"])
    assert run.metrics["avg"] == command.scores["metrics"]["avg"]
    assert repr(run).startswith("Run(Continual-FT on tiny, seed 0: Transfer ")
    assert vlcl("show", run.folder, "--json").json["run"] == run.record.run_hash


def test_a_finished_run_is_returned_again_and_progress_is_told(finished: Path) -> None:
    class Listener(Reporter):
        said: list[str] = []  # noqa: RUF012

        def say(self, message: str) -> None:
            self.said.append(message)

    run = vlcl_bench.run("tiny", "finetune", out=finished, progress=Listener())
    assert run.record == vlcl_bench.read_record(finished / "run.json")
    assert any("already finished" in line for line in Listener.said)


def test_a_file_is_the_method_of_the_command(tmp_path: Path) -> None:
    path = method_file(tmp_path, "    def learn(self, task, ctx):\n        pass\n", base="LossMethod")
    run = vlcl_bench.run("tiny", path, seed=1, settings={"label_smoothing": 0.1}, progress=False)
    assert (run.record.identity.method, run.record.identity.seed) == ("mine", 1)
    assert run.folder == Path("runs") / run.record.run_hash
    np.testing.assert_array_equal(run.R, np.tile(run.zero_shot, (2, 1)))


def test_a_class_of_the_notebook_runs_inline_under_the_digest_of_its_source(notebook, monkeypatch) -> None:
    monkeypatch.setenv("VLCL_ISOLATION", "process")  # of no concern: a class has no other process
    method = notebook(CELL).Mine
    run = vlcl_bench.run("tiny", method, progress=False)
    identity = run.record.identity
    assert (identity.method, identity.method_source_sha256) == ("Mine", class_digest(method))
    assert (run.record.title, run.record.provenance.isolation) == ("Mine", "inline")
    again = vlcl_bench.run("tiny", notebook(CELL).Mine, progress=False)
    assert again.folder == run.folder
    other = vlcl_bench.run("tiny", notebook(CELL.replace("0.5", "0.25")).Mine, progress=False)
    assert other.folder != run.folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "fintune"}, "Did you mean 'finetune'"),
        ({"method": "finetune", "settings": {"label_smoothin": 1}}, "Did you mean 'label_smoothing'"),
        ({"method": "finetune", "isolation": "jail"}, "isolation (--isolation) 'jail' is not one of inline, process"),
        ({"method": "finetune", "keep_states": "some"}, "keep_states (--keep-states) 'some' is not one of none, last"),
        ({"method": int}, "class int is no method"),
        ({"method": "finetune", "isolaton": "process"}, "no option 'isolaton'\nDid you mean 'isolation'?"),
        ({"method": "finetune", "backbon": "x"}, "no option 'backbon'\nDid you mean 'backbone'?"),
        ({"method": "finetune", "qqq": 1}, "no option 'qqq'\nKnown: backbone, data_root, "),
        ({"method": "finetune", "seed": "x"}, "seed is 'x'; it must be a whole number"),
        ({"method": "finetune", "seed": 1.0}, "seed is 1.0; it must be a whole number"),
        ({"method": "finetune", "seed": True}, "seed is True; it must be a whole number"),
        ({"method": "finetune", "settings": [1]}, "settings is [1]; it must be a mapping"),
        ({"method": "finetune", "settings": {1: 2}}, "settings is {1: 2}; it must be a mapping"),
    ],
)
def test_what_cannot_be_run_is_refused_as_on_the_command_line(options, words) -> None:
    with pytest.raises(UsageError) as caught:
        vlcl_bench.run(protocol="tiny", progress=False, **options)
    assert words in str(caught.value)
    assert not Path("runs").exists()


def test_all_options_are_explained() -> None:
    assert [
        name for name in notebook_module.Options.__annotations__ if f"``{name}``:" not in vlcl_bench.run.__doc__
    ] == []


def test_a_seed_may_be_a_number_of_numpy(finished: Path) -> None:
    assert vlcl_bench.run("tiny", "finetune", np.int64(0), out=finished, progress=False).record.identity.seed == 0


def test_metrics_that_an_older_record_lacks_are_computed(finished: Path) -> None:
    record = vlcl_bench.read_record(finished)
    stored = {name: value for name, value in record.scores["metrics"].items() if not name.startswith("zsd")}
    older = record.model_copy(update={"scores": {**record.scores, "metrics": stored}})
    run = results.Run.of_record(older, finished)
    assert run.metrics == vlcl_bench.score(finished).metrics
    assert run.metrics["zsd"] is not None


def test_a_protocol_is_loaded_by_path(world) -> None:
    path = world.protocols / "tiny.toml"
    assert vlcl_bench.load_protocol(path).fingerprint == vlcl_bench.load_protocol("tiny").fingerprint
    with pytest.raises(UsageError, match=r"no file nowhere\.toml"):
        vlcl_bench.load_protocol(Path("nowhere.toml"))


# The digest of a class


def test_comments_and_docstrings_do_not_count_and_all_that_is_used_does(notebook) -> None:
    before = class_digest(notebook(CELL).Mine)
    commented = CELL.replace("    return SCALE", '    """Less of it."""\n    # half of it\n    return SCALE')
    assert class_digest(notebook("# another cell\n\n" + commented).Mine) == before
    for old, new in [
        ("SCALE * drift", "SCALE + drift"),
        ("SCALE = 0.5", "SCALE = 0.6"),
        ("penalty(0.0)", "penalty(1.0)"),
    ]:
        assert class_digest(notebook(CELL.replace(old, new)).Mine) != before


def test_a_base_class_in_another_cell_counts(notebook) -> None:
    notebook(CELL)
    derived = "class Other(Mine):\n    def finish(self, task, ctx):\n        pass\n"
    before = class_digest(notebook(derived).Other)
    notebook(CELL.replace("penalty(0.0)", "penalty(1.0)"))
    assert class_digest(notebook(derived).Other) != before


def test_a_class_that_needs_nothing_beside_it_has_the_digest_of_its_text(notebook) -> None:
    text = "class Plain(LossMethod):\n    title = 'Plain'\n\n    def start(self, task, ctx):\n        self.n = 1\n"
    module = notebook("from vlcl_bench.methods import LossMethod\n\n" + text)
    assert class_digest(module.Plain) == token_digest(text.encode())


def test_what_cannot_be_hashed_is_refused_by_name(notebook) -> None:
    module = notebook(CELL.replace("SCALE = 0.5", "SCALE = torch.tensor(0.5)"))
    with pytest.raises(UsageError, match="Mine uses 'SCALE', a Tensor"):
        class_digest(module.Mine)


def test_a_class_without_a_source_is_refused(notebook) -> None:
    module = notebook(CELL)
    linecache.cache.pop(module.Mine.loss.__code__.co_filename)
    with pytest.raises(UsageError, match=r"source of Mine cannot be found(.|\n)*method='my.py'"):
        vlcl_bench.run("tiny", module.Mine, progress=False)


def test_a_file_that_changed_since_it_was_imported_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "changing_method.py"
    path.write_text(CELL)
    monkeypatch.syspath_prepend(tmp_path)
    import changing_method

    path.write_text(CELL.replace("penalty(0.0)", "penalty(1.0)"))
    linecache.checkcache()
    with pytest.raises(UsageError, match=r"changing_method.py has changed since Mine was imported"):
        ClassRef.of(changing_method.Mine)


def test_a_class_that_is_no_whole_method_is_refused_before_anything_is_written(notebook) -> None:
    half = "from vlcl_bench import Method\nclass Half(Method):\n    title = 'x'\n    def end(self):\n        pass\n"
    with pytest.raises(MethodError, match="does not define learn"):
        vlcl_bench.run("tiny", notebook(half).Half)
    named = CELL.replace("class Mine", "class l2")
    with pytest.raises(UsageError, match="reference method 'l2' already"):
        ClassRef.of(notebook(named).l2)
    with pytest.raises(UsageError, match="cannot live in another process"):
        vlcl_bench.run("tiny", notebook(CELL).Mine, isolation="process")
    assert not Path("runs").exists()


# Scores, comparisons, boards


def test_scores_of_runs_and_matrices_are_those_of_the_command(finished: Path) -> None:
    printed = vlcl("score", finished, "--json").json
    scores = vlcl_bench.score(finished)
    np.testing.assert_array_equal(scores.R, printed["matrix"])
    assert scores.metrics.items() <= printed["metrics"].items()
    assert vlcl_bench.score(scores.R, scores.zero_shot).metrics == scores.metrics
    np.savetxt("R.csv", scores.R, delimiter=",")
    from_file = vlcl_bench.score("R.csv")
    assert (from_file.zero_shot, from_file.metrics["avg"]) == (None, scores.metrics["avg"])
    assert repr(from_file).startswith("Scores(2 tasks: Transfer ")
    with pytest.raises(UsageError, match="must be square"):
        vlcl_bench.score([[1.0, 2.0]])


def test_a_jointly_trained_reference_counts_as_in_the_command() -> None:
    printed = vlcl("score", JOINTLY_COMPARED, "--json").json
    assert printed["metrics"]["intransigence"] is not None
    scores = vlcl_bench.score(JOINTLY_COMPARED)
    assert scores.metrics == {name: printed["metrics"][name] for name in scores.metrics}
    run = results.Run.of_record(vlcl_bench.read_record(JOINTLY_COMPARED), JOINTLY_COMPARED)
    assert run.metrics == vlcl_bench.score(run).metrics == scores.metrics


def test_another_jointly_trained_reference_is_given_by_its_file(finished: Path) -> None:
    Path("joint.json").write_text(json.dumps({"accuracy": [90.0, 80.0]}))
    printed = vlcl("score", finished, "--joint", "joint.json", "--json").json
    scores = vlcl_bench.score(finished, joint="joint.json")
    assert scores.metrics["intransigence"] == printed["metrics"]["intransigence"] == 85 - np.mean(scores.R.diagonal())
    assert vlcl_bench.score(scores.R, scores.zero_shot, joint=Path("joint.json")).metrics == scores.metrics
    with pytest.raises(UsageError, match="has 2 values; there are 1 tasks"):
        vlcl_bench.score([[50.0]], joint="joint.json")


def test_a_protocol_of_ones_own_is_given_by_its_file(finished: Path, world, monkeypatch) -> None:
    shutil.copy(world.protocols / "tiny.toml", "mine.toml")
    expected = vlcl_bench.score(finished).metrics
    monkeypatch.setattr("vlcl_bench.protocols.load.FOLDER", Path("nowhere"))
    with pytest.raises(UsageError, match=r"with protocol \(--protocol\)"):
        vlcl_bench.score(finished)
    assert vlcl_bench.score(finished, protocol="mine.toml").metrics == expected


def test_what_is_no_run_is_refused_in_few_words(finished: Path) -> None:
    record = vlcl_bench.read_record(finished)
    for refused in (lambda: vlcl_bench.score(record), lambda: vlcl_bench.compare(record, finished)):
        with pytest.raises(UsageError, match=r"Give the run or its folder") as caught:
            refused()
        assert len(str(caught.value)) < 150
    with pytest.raises(UsageError, match=r"R must hold numbers; found 'xxx") as caught:
        vlcl_bench.score([["x" * 1000]])
    assert len(str(caught.value)) < 100


def test_a_comparison_is_that_of_the_command(finished: Path, tmp_path: Path) -> None:
    other = vlcl_bench.run("tiny", "zero_shot", out=tmp_path / "other", progress=False)
    compared = vlcl_bench.compare(vlcl_bench.run("tiny", "finetune", out=finished, progress=False), other, draws=200)
    printed = vlcl("compare", finished, other.folder, "--draws", 200, "--json").json
    assert (compared.first, compared.second, compared.protocol) == ("finetune", "zero_shot", "tiny")
    assert compared.headlines.index.tolist() == [line["name"] for line in printed["headlines"]]
    assert compared.headlines["difference"].tolist() == [line["difference"] for line in printed["headlines"]]
    assert compared.tasks.loc[list(TASKS), "low"].tolist() == [line["low"] for line in printed["tasks"]]
    assert repr(compared).startswith("EntryComparison(finetune less zero_shot on tiny: Transfer ")


def test_entries_are_looked_for_in_one_folder_or_several(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "here" / "one")
    tables = [
        vlcl_bench.compare("finetune", "finetune", places=places, draws=100).headlines
        for places in (tmp_path / "here", str(tmp_path / "here"), [tmp_path / "here"])
    ]
    assert [frame["difference"].tolist() for frame in tables] == [[0.0] * len(tables[0])] * 3


def test_too_few_draws_are_refused_as_by_the_command(finished: Path) -> None:
    with pytest.raises(UsageError, match="draws is 99; it must be at least 100"):
        vlcl_bench.compare(finished, finished, draws=99)
    assert vlcl("compare", finished, finished, "--draws", 99).code == 2


def test_the_protocol_that_is_missing_is_named_in_the_words_of_both_faces() -> None:
    with pytest.raises(UsageError, match=r"Name one with protocol \(--protocol\), for instance "):
        vlcl_bench.compare("finetune", "zero_shot", places=SUBMISSIONS)


def test_a_board_comes_back_as_a_frame(finished: Path) -> None:
    shutil.copytree(finished, Path("runs") / "one")
    rows = vlcl_bench.leaderboard("runs")
    assert rows["method"].tolist() == ["finetune"]
    assert (Path("runs/board") / "index.html").exists()
    with pytest.raises(UsageError, match="no folder nowhere"):
        vlcl_bench.leaderboard("nowhere")
