"""Comparing the answers of a run with those of the same run made again."""

import numpy as np
import pandas as pd
import pytest

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import compact_predictions
from vlcl_bench.records.schema import Provenance
from vlcl_bench.scoring.captions import answers_frame
from vlcl_bench.scoring.reproduction import compare_answers, disagreements, same_machine, seed_spread

TASKS = ("a", "b")


def predictions(samples: int = 50) -> pd.DataFrame:
    rng, parts = np.random.default_rng(3), []
    for stage in range(3):
        for task in TASKS:
            ids = np.stack([rng.permutation(6)[:5] for _ in range(samples)])
            part = pd.DataFrame(ids, columns=[f"top{k}" for k in range(1, 6)])
            part.insert(0, "sample", np.arange(samples))
            part.insert(0, "task", task)
            part.insert(0, "stage", stage)
            for k in range(1, 6):
                part[f"logit{k}"] = np.float32(10.0 - k)
            part["agnostic_top1"] = part["agnostic_plain_top1"] = ids[:, 0]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def changed(frame: pd.DataFrame, stage: int, task: str, count: int, column: str = "top1") -> pd.DataFrame:
    found = frame.copy()
    rows = found.index[(found["stage"] == stage) & (found["task"] == task)][:count]
    found.loc[rows, column] = (found.loc[rows, column] + 1) % 6
    return found


def provenance(**facts: object) -> Provenance:
    made = {
        "vlcl_bench": "0", "python": "3", "torch": "2.0", "open_clip": "1", "numpy": "1", "platform": "x",
        "processor": "y", "cpu_capability": "AVX2", "threads": 2, "device": "cpu", "device_name": "",
        "deterministic_algorithms": True,
    }  # fmt: skip
    return Provenance.model_validate(made | facts)


def test_equal_answers_agree_in_every_form_and_order() -> None:
    full = predictions()
    compact = compact_predictions(full)
    for one, two in ((full, full), (full, compact), (compact, full), (full.sample(frac=1, random_state=1), full)):
        found = compare_answers(one, two)
        assert found.identical
        assert (found.share, found.equal, found.answers) == (100.0, 300, 300)
        assert found.worst() == []
        assert found.first == ()


def test_differences_are_counted_by_stage_and_task_and_the_first_shown() -> None:
    full = predictions()
    found = compare_answers(full, changed(changed(full, 2, "b", 5), 1, "a", 1))
    assert found.equal == 294
    assert found.share == 98.0
    assert [(cell.where, cell.answers - cell.equal) for cell in found.worst()] == [("stage 2, b", 5), ("stage 1, a", 1)]
    first = found.first[0]
    old = int(full[(full["stage"] == 1) & (full["task"] == "a")]["top1"].iloc[0])
    assert (first.stage, first.task, first.sample, first.expected, first.found) == (1, "a", 0, (old,), ((old + 1) % 6,))
    assert found.columns == ("top1",)


def test_other_places_and_logits_break_identity_but_not_agreement() -> None:
    full = predictions()
    for column in ("top3", "agnostic_top1", "logit2"):
        found = compare_answers(full, changed(full, 0, "a", 3, column))
        assert (found.identical, found.share, found.rows_differing, found.columns) == (False, 100.0, 3, (column,))
    assert compare_answers(compact_predictions(full), changed(full, 0, "a", 3, "logit2")).identical


def test_caption_answers_count_all_ten_ids() -> None:
    rng = np.random.default_rng(0)
    answers = {
        "i2t": np.stack([rng.permutation(40)[:10] for _ in range(20)]),
        "t2i": np.stack([rng.permutation(20)[:10] for _ in range(40)]),
        "caption": np.arange(20), "nearest": np.arange(20),
    }  # fmt: skip
    frame = answers_frame(1, "scenes", answers)
    answers["i2t"] = answers["i2t"].copy()
    answers["i2t"][3, 8:] = answers["i2t"][3, :7:-1]
    answers["caption"] = np.array([5, *range(1, 20)])
    found = compare_answers(frame, answers_frame(1, "scenes", answers))
    assert {(cell.kind, cell.answers, cell.equal) for cell in found.cells} == {
        ("i2t", 20, 19), ("t2i", 40, 40), ("caption", 20, 19), ("nearest", 20, 20),
    }  # fmt: skip
    assert found.worst()[0].where in ("stage 1, scenes (i2t)", "stage 1, scenes (caption)")


def test_other_questions_are_refused() -> None:
    full = predictions()
    for other in (full.iloc[:-1], full.replace({"task": {"b": "c"}}), full.assign(sample=0)):
        with pytest.raises(IntegrityError, match="did not answer the same questions"):
            compare_answers(full, other)
    with pytest.raises(IntegrityError, match="no columns sample"):
        compare_answers(full, full.drop(columns="sample"))


def test_equal_bytes_are_expected_of_equal_machines_only() -> None:
    assert same_machine(provenance(), provenance(python="4", platform="z")) == []
    assert same_machine(provenance(), provenance(threads=4)) == ["threads 2 there, 4 here"]
    assert len(same_machine(provenance(), provenance(torch="2.1", cpu_capability="AVX512"))) == 2
    assert same_machine(provenance(device="cuda"), provenance(device="cuda")) != []
    amd, newer = provenance(processor="AMD EPYC"), provenance(processor="AMD EPYC 9654 96-Core Processor")
    assert same_machine(amd, newer) == []
    intel = provenance(processor="Intel(R) Xeon(R) Processor")
    assert same_machine(amd, intel) == ["processor 'amd' there, 'intel' here"]
    assert len(same_machine(provenance(processor=""), intel)) == 1


def test_on_equal_machines_one_other_answer_is_too_many() -> None:
    full, R = predictions(), np.zeros((2, 2))
    assert disagreements(compare_answers(full, full), True, R, R, TASKS) == []
    (said,) = disagreements(compare_answers(full, changed(full, 1, "b", 1)), True, R, R, TASKS)
    assert "1 of 300 rows" in said
    assert "stage 1, b: 1 of 50 answers differ" in said
    (said,) = disagreements(compare_answers(full, changed(full, 1, "b", 1, "top2")), True, R, R, TASKS)
    assert "others differ in top2" in said


def test_elsewhere_98_percent_and_the_spread_over_seeds_decide() -> None:
    full = predictions()
    R = np.full((2, 2), 50.0)
    enough, few = compare_answers(full, changed(full, 1, "b", 6)), compare_answers(full, changed(full, 1, "b", 7))
    assert disagreements(enough, False, R, R, TASKS) == []
    assert disagreements(few, False, R, R, TASKS)[0].startswith("97.67 % of the answers are equal, at least 98 %")
    moved = R + np.array([[0.0, 0.9], [0.0, 3.0]])
    (said,) = disagreements(enough, False, R, moved, TASKS)
    assert said == "stage 2, b: 53.00 %, 50.00 % before (may differ by 1.00)"
    assert disagreements(enough, False, R, moved, TASKS, np.full((2, 2), 3.0)) == []


def test_the_spread_over_seeds_needs_two_of_them() -> None:
    assert seed_spread([np.ones((2, 2))]) is None
    spread = seed_spread([np.array([[1.0, 5.0]]), np.array([[4.0, 5.0]]), np.array([[2.0, 4.0]])])
    assert spread is not None
    assert spread.tolist() == [[3.0, 1.0]]
