"""The claims of the page on Auto-Seed VL2: each verdict follows from what was measured, and from nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from baselines.auto_seed_vl2 import claims as module
from baselines.auto_seed_vl2.claims import CLASSES, METHOD, claims, claims_page

TASKS = {"one": 200, "two": 200, "three": 200}


def entry(method: str = METHOD, label: str = "", last: float = 0.6, before: float = 0.5, **more: Any) -> Any:
    """An entry of three seeds: right with ``last`` once learned, with ``before`` until then, with 0.5 untouched."""
    scores = {}
    for seed in range(3):
        rng = np.random.default_rng([seed, 1])  # the same luck for all entries: only the probabilities differ
        items = {}
        for place, (task, n) in enumerate(TASKS.items()):
            luck = rng.random(n)
            right = [0.5 if stage == 0 else last if stage > place else before for stage in range(len(TASKS) + 1)]
            items[task] = 100.0 * (luck[None] < np.array(right)[:, None])
            if more.get("restless"):  # as often right, but on other samples
                items[task][1:] = items[task][1:, rng.permutation(n)]
        scores[seed] = items
    log = [{"report": "seeds", "task": task, **more.get("log", {})} for task in TASKS]
    log += [{"report": "memory", "items": 100}]
    identity = SimpleNamespace(settings={"memory": more.get("memory", 100)})
    record = SimpleNamespace(
        log=log, identity=identity, footprint=SimpleNamespace(bytes_between_tasks=more.get("bytes", 1000))
    )
    return SimpleNamespace(
        protocol=CLASSES, method=method, label=label, runs=dict.fromkeys(range(3), (None, record)),
        item_scores=lambda: scores,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = module.compare
    monkeypatch.setattr(module, "compare", lambda a, b: compare(a, b, draws=400))


def verdicts(*entries: Any) -> dict[str, str]:
    return {one.claim: one.verdict for one in claims(entries)}


def test_without_runs_nothing_is_said_to_be_reproduced_or_not():
    found = verdicts()
    assert set(found.values()) == {"not run yet", "not testable"}
    assert [claim for claim, verdict in found.items() if verdict == "not testable"] == [
        "better than the state of the art on average", "BLEU-4 on C→F", "weaker on visual question answering",
    ]  # fmt: skip


@pytest.mark.parametrize(("last", "verdict"), [(0.4, "reproduced"), (0.6, "not reproduced"), (0.8, "not reproduced")])
def test_an_ablation_is_reproduced_where_it_costs_more_than_chance(last, verdict):
    found = verdicts(entry(), entry(label="consistency=False", last=last))
    assert found["without consistency"] == verdict
    assert found["without meta-update of the generator"] == "not run yet"


@pytest.mark.parametrize(("last", "verdict"), [(0.6, "reproduced"), (0.4, "not reproduced"), (0.8, "not reproduced")])
def test_that_pruning_costs_nothing_is_reproduced_where_the_interval_is_small(last, verdict):
    assert verdicts(entry(), entry(label="pruning=False", last=last))["without seed pruning"] == verdict


def test_that_nothing_is_seen_does_not_show_that_there_is_nothing():
    found = {one.claim: one for one in claims([entry(), entry(label="pruning=False", restless=True)])}[
        "without seed pruning"
    ]
    assert found.verdict == "not testable"
    assert "too wide an interval" in found.measured


@pytest.mark.parametrize(("memory", "said"), [(100, False), (101, True)])
def test_a_memory_that_was_never_full_is_told_of_pruning(memory, said):
    found = claims([entry(memory=memory), entry(label="pruning=False")])
    measured = next(one.measured for one in found if one.claim == "without seed pruning")
    assert ("never full" in measured) is said


def test_more_than_thirteen_points_means_the_whole_interval():
    name = "better than generative replay"
    assert verdicts(entry(last=0.8), entry("generative_replay", last=0.6))[name] == "reproduced"
    assert verdicts(entry(last=0.74), entry("generative_replay", last=0.6))[name] == "not reproduced"
    assert verdicts(entry(last=0.7), entry("generative_replay", last=0.62))[name] == "not reproduced"


def test_a_margin_that_the_untouched_model_has_too_says_nothing():
    others = entry("generative_replay", last=0.3), entry("zero_shot", last=0.5)
    found = next(one for one in claims([entry(), *others]) if one.claim == "better than generative replay")
    assert found.verdict == "not testable"
    assert "the zero-shot model is better by" in found.measured
    near = entry("generative_replay", last=0.45), entry("zero_shot", last=0.5)
    assert verdicts(entry(last=0.9), *near)["better than generative replay"] == "reproduced"


def test_memory_is_compared_in_bytes_as_measured():
    name = "memory against exemplar replay"
    small, large = entry("er_vlm", bytes=19_000), entry("er_vlm", bytes=21_000)
    assert verdicts(entry(bytes=1000), large)[name] == "reproduced"
    assert verdicts(entry(bytes=1000), small)[name] == "not reproduced"
    measured = next(one.measured for one in claims([entry(bytes=1000), small]) if one.claim == name)
    assert measured.startswith("-95 % (1,000 bytes against 19,000")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (0.7, ("reproduced", "not reproduced")),
        (0.5, ("not reproduced", "not reproduced")),
        (0.3, ("not reproduced", "reproduced")),
    ],
)
def test_forward_transfer_is_judged_by_its_sign(before, expected):
    found = verdicts(entry(before=before), entry("generative_replay", before=before))
    assert (found["FWT of Auto-Seed VL2"], found["FWT of generative replay"]) == expected


def test_no_forward_transfer_is_what_er_vlm_is_claimed_to_have():
    assert verdicts(entry(), entry("er_vlm", before=0.5))["FWT of ER-VLM"] == "reproduced"
    assert verdicts(entry(), entry("er_vlm", before=0.5, restless=True))["FWT of ER-VLM"] == "not testable"
    assert verdicts(entry(), entry("er_vlm", before=0.8))["FWT of ER-VLM"] == "not reproduced"


@pytest.mark.parametrize(("value", "verdict"), [(0.85, "reproduced"), (0.93, "reproduced"), (0.96, "not reproduced")])
def test_fidelity_must_lie_within_what_is_claimed(value, verdict):
    found = verdicts(entry(log={"fidelity_image": value, "fidelity_text": 0.9}))
    assert found["cosine of seeds with real class means"] == verdict


@pytest.mark.parametrize(
    ("inside", "outside", "verdict"),
    [
        (0.9, 0.5, "reproduced"), (0.5, 0.9, "not reproduced"), (1.5, 1.2, "not reproduced"),
        (0.001, 0.0007, "not testable"), (0.001, 0.2, "not reproduced"),
    ],
)  # fmt: skip
def test_less_variance_where_it_does_not_matter_is_not_less_variance_everywhere(inside, outside, verdict):
    found = verdicts(entry(log={"variance_inside": inside, "variance_outside": outside}))
    assert found["variance along task-irrelevant directions, to real features'"] == verdict


def test_the_page_is_a_table_with_a_line_for_each_claim_and_says_what_a_verdict_means():
    page = claims_page([entry(), entry(label="consistency=False", last=0.3)])
    assert page.startswith("# Auto-Seed VL2: claimed and measured\n")
    assert page.count("\n| ") == 2 + len(claims([]))
    line = next(line for line in page.splitlines() if line.startswith("| without consistency | -6.8 | mini-c2r | -"))
    assert line.endswith("p < 0.001) | reproduced |") or "p = 0.0" in line
    assert "more than chance" in page
    assert "VL-CL" in page
