"""The contracts as a list: their names, what they require, choosing some of them, and running them through pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.fakes import FakeBackbone
from support.harness import method_file, vlcl
from support.small_streams import tiny_streams

from vlcl_bench.engine.sandbox.audit import Boundary, Notice
from vlcl_bench.engine.sandbox.supervisor import hidden_places
from vlcl_bench.errors import UsageError
from vlcl_bench.submissions.contracts import trial
from vlcl_bench.submissions.contracts.checks import CHECKS
from vlcl_bench.submissions.contracts.contract import Contract, selected
from vlcl_bench.submissions.contracts.examination import Examination, examine
from vlcl_bench.submissions.contracts.process import check_contract
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.synthesis import GENERATOR

ROOT = Path(__file__).parents[2]
GOOD = "\n    def learn(self, task, ctx):\n        pass\n"
COUNTING = f"""{GOOD}
    def score(self, images, query):
        self.calls = getattr(self, "calls", 0) + 1
        return super().score(images, query).roll(self.calls, 1)
"""
BY_NAME = {contract.name: contract for contract in CHECKS}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "load_backbone", lambda name: FakeBackbone())


def entry(folder: Path, body: str) -> Path:
    return method_file(folder / "entry", body, "Method", "method.py").parent


# The list


def test_every_contract_says_what_it_requires_of_a_method_and_comes_after_what_it_needs() -> None:
    assert len(BY_NAME) == len(CHECKS)
    for place, contract in enumerate(CHECKS):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", contract.name)
        assert contract.requirement.endswith(".")
        assert contract.codes
        assert all(code.startswith("contract-") for code in (*contract.codes, contract.failure))
        before = {other.name for other in CHECKS[:place]}
        assert {*contract.requires, *contract.follows} <= before, contract.name


def test_every_code_of_a_contract_is_explained() -> None:
    text = (ROOT / "docs" / "submitting.md").read_text(encoding="utf-8")
    row = re.compile(r"`(contract-[a-z-]+)`((?:, `-[a-z-]+`)*)")
    explained = set()
    for first, others in row.findall(text):
        explained |= {first, *(f"contract{code}" for code in re.findall(r"`(-[a-z-]+)`", others))}
    assert {code for contract in CHECKS for code in (*contract.codes, contract.failure)} <= explained


def test_choosing_contracts_brings_along_what_they_need() -> None:
    assert selected(CHECKS) == CHECKS
    names = [contract.name for contract in selected(CHECKS, ["resume"])]
    assert names == ["import", "defaults", "learning", "repeat", "seed", "resume"]
    with pytest.raises(UsageError, match="there is no contract 'resum'") as caught:
        selected(CHECKS, ["resum"])
    assert "resume" in str(caught.value.hint)
    with pytest.raises(UsageError, match="there is no contract 'x'"):
        check_contract(Path("anything"), only=["x"])


def test_what_cannot_be_judged_is_left_out_and_says_why(tmp_path: Path) -> None:
    examination = Examination(entry(tmp_path, COUNTING), tmp_path / "work", streams=tiny_streams())
    assert not examination.outcome(BY_NAME["repeat"]).passed
    outcome = examination.outcome(BY_NAME["resume"])
    assert (outcome.findings, outcome.passed) == ((), False)
    assert outcome.left_out == "it cannot be judged before the contract 'seed' is kept"
    assert examination.outcome(BY_NAME["groups"]).passed


def test_a_remark_does_not_keep_others_from_being_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlcl_bench.submissions.contracts import examination as module

    def remark(trial: object) -> list[Finding]:
        return [Finding("contract-exceptions", "method.py", "a word", "Nothing to do.", "remark")]

    first = Contract("first", "first", remark, ("contract-exceptions",))
    second = Contract("second", "second", lambda trial: [], ("contract-order",), requires=("first",))
    monkeypatch.setattr(module, "CHECKS", (first, second))
    examination = Examination(entry(tmp_path, GOOD), tmp_path / "work", streams=tiny_streams())
    assert examination.outcome(second).passed


def test_only_the_contracts_that_were_chosen_are_examined(tmp_path: Path) -> None:
    titles: list[str] = []
    work = tmp_path / "work"
    body = COUNTING + "\n    def load_state_dict(self, *arguments, **named):\n        raise KeyError('never')\n"
    findings = examine(
        entry(tmp_path, body), work, None, lambda done, total, word: titles.append(word), tiny_streams(), ["track"]
    )
    assert findings == []
    assert titles == ["drawing pictures", "importing", "default settings", "learning two tasks", "budget and track",
                      "done"]  # fmt: skip


# What a run lets pass


def test_the_scratch_folder_is_the_methods_as_in_a_run_and_is_emptied(tmp_path: Path) -> None:
    body = """
    def learn(self, task, ctx):
        import os, tempfile
        assert os.listdir() == []
        open("notes.txt", "w").write("here")
        with tempfile.TemporaryFile() as file, open(os.path.join(tempfile.gettempdir(), "x"), "w"):
            file.write(b"x")
        assert os.environ["HOME"].startswith(os.getcwd())
"""
    before = Path.cwd()
    assert examine(entry(tmp_path, body), tmp_path / "work", streams=tiny_streams()) == []
    assert Path.cwd() == before


def test_what_a_run_refuses_and_the_first_edition_let_pass_is_found(tmp_path: Path) -> None:
    body = GOOD.replace("pass", f"import os; os.listdir({str(tmp_path)!r})")
    (finding,) = examine(entry(tmp_path, body), tmp_path / "work", streams=tiny_streams())
    assert f"lists the folder {tmp_path} while learning" in finding.message
    body = GOOD.replace("pass", f"import os; os.remove({str(tmp_path / 'kept')!r})")
    (tmp_path / "kept").write_text("x")
    findings = examine(entry(tmp_path, body), tmp_path / "work", streams=tiny_streams())
    assert {finding.code for finding in findings} == {"contract-interface", "contract-peeking"}
    assert (tmp_path / "kept").exists()


def test_looking_up_names_for_synthetic_pictures_is_the_harness_s_and_not_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("vlcl_bench.mini.diffusion")]:
        monkeypatch.delitem(sys.modules, name)
    notice = Notice(Boundary([tmp_path], [tmp_path], hidden_places()))
    synthesis = tiny_streams().synthesis([GENERATOR])
    assert synthesis is not None
    with notice.over("learning"):
        assert len(synthesis.orders(3, ("a cat",), 1, 0)) == 3
    assert notice.seen == {}


# Several files


def test_state_in_a_module_beside_the_method_is_found_by_resuming(tmp_path: Path) -> None:
    body = """
    def learn(self, task, ctx):
        KEPT.append(task.index)
        with torch.no_grad():
            self.backbone.towers.words.weight += 10 * float(sum(KEPT)) / 50
"""
    folder = entry(tmp_path, body)
    (folder / "runs" / "0123456789abcdef").mkdir(parents=True)  # hidden from it, and so not listed for its source
    path = folder / "method.py"
    path.write_text(path.read_text().replace("\n\nclass", "\nfrom .memory import KEPT\n\nclass"))
    (folder / "memory.py").write_text("import numpy as np\n\nKEPT = []\nTABLE = np.zeros(1000)\n")
    findings = {
        finding.code: finding for finding in examine(folder, tmp_path / "work", streams=tiny_streams())
    }
    assert set(findings) == {"contract-resume", "contract-beside-state"}
    assert "memory.py: TABLE (8,000 bytes)" in findings["contract-beside-state"].message


# The command, and pytest


def test_the_command_lists_the_contracts() -> None:
    ended = vlcl("submit", "check", "--list")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [contract.name for contract in CHECKS]
    assert lines[0].endswith("[contract-interface]")


def test_the_command_examines_those_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "vlcl_bench.submissions.contracts.process.check_contract",
        lambda folder, **more: asked.append(more["only"]) or [],
    )
    vlcl("submit", "new", "mine", "--folder", tmp_path)
    toml = tmp_path / "mine" / "submission.toml"
    toml.write_text(toml.read_text().replace("TODO: ", ""))
    assert vlcl("submit", "check", tmp_path / "mine", "--only", "batches", "--only", "order").code == 0
    assert asked == [["batches", "order"]]
    ended = vlcl("submit", "check", tmp_path / "mine", "--only", "batches", "--data-only")
    assert ended.code == 2
    assert "Give one of the two" in ended.err


TEST_FILE = """
from pathlib import Path

from support.fakes import FakeBackbone
from support.small_streams import tiny_streams

from vlcl_bench.submissions.contracts import contract_tests, trial

trial.load_backbone = lambda name: FakeBackbone()
HERE = Path(__file__).parent


@contract_tests(HERE / "good" / "entry", streams=tiny_streams())
def test_good(contract):
    contract.check()


@contract_tests(HERE / "bad" / "entry", streams=tiny_streams())
def test_bad(contract):
    contract.check()


@contract_tests(HERE / "good" / "entry", only=["order"])
def test_chosen(contract):
    assert repr(contract) in ("import", "defaults", "learning", "repeat", "batches", "order")
"""


def test_a_submitter_runs_the_contracts_through_pytest(tmp_path: Path) -> None:
    entry(tmp_path / "good", GOOD.replace("pass", "self.table = np.zeros(1000)"))
    entry(tmp_path / "bad", COUNTING)
    (tmp_path / "test_entries.py").write_text(TEST_FILE)
    command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib",
               f"--rootdir={tmp_path}", "test_entries.py"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    results = dict(re.findall(r"^test_entries.py::(test_\w+\[[\w-]+\]) (\w+)", done.stdout, re.MULTILINE))
    assert len(results) == 2 * len(CHECKS) + 6, done.stdout
    good = {name: result for name, result in results.items() if name.startswith(("test_good", "test_chosen"))}
    assert set(good.values()) == {"PASSED"}, done.stdout
    bad = {name: result for name, result in results.items() if name.startswith("test_bad")}
    assert {name for name, result in bad.items() if result == "FAILED"} == {"test_bad[repeat]"}, done.stdout
    assert bad["test_bad[batches]"] == bad["test_bad[resume]"] == "SKIPPED"
    assert "method.py: the same pictures asked again" in done.stdout
    assert "[contract-repeat]" in done.stdout
    assert "Required: The same pictures asked again, in the same order and batches, get the same answers" in done.stdout
    assert "bytes that are not in its state_dict()" in done.stdout  # a remark is a warning
    assert "it cannot be judged before the contract 'repeat' is kept" in done.stdout
