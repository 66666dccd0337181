"""Generative replay on a dual encoder of a few linear layers: labels are prompts, no teacher, switches, states."""

import pytest
import torch
from support.fakes import make_task
from support.gift import OFF, PROMPTS, ROWS, Moment, gift
from support.playing import build, check_gradient, cosines, same, weights
from support.synthetic import FakeGenerator, make_synthesis, play

from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method

NAME, SMALL = "generative_replay", {"pictures": 12}


def labelled(logits, prompts, smoothing=0.2):
    """Cross-entropy of each picture over the batch's prompts, one picture at a time."""
    total, n = 0.0, len(prompts)
    for i in range(n):
        chances = torch.exp(logits[i]) / torch.exp(logits[i]).sum()
        equal = [j for j in range(n) if prompts[j] == prompts[i]]
        for j in range(n):
            mass = (1 - smoothing) * (1 / len(equal) if j in equal else 0.0) + smoothing / n
            total = total - mass * chances[j].log() / n
    return total


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_loss_is_that_of_the_task_and_of_pictures_labelled_by_their_prompts(weight):
    moment = Moment(NAME, replay_weight=weight)
    found = cosines(*moment.synthetic(moment.method.backbone))
    expected = moment.plain() + weight * labelled(found, [PROMPTS[row] for row in ROWS])
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_losss_gradient_equals_finite_differences():
    moment = Moment(NAME)
    names = ("towers.visual.1.weight", "towers.visual.3.bias", "towers.words.weight", "towers.textual.weight")
    check_gradient(moment.method, moment.loss, names)


def test_there_is_no_teacher_and_no_anchor():
    learner = play(build(NAME, **SMALL), make_synthesis(generator=FakeGenerator(size=77)), 1, 2)
    assert learner.footprint().bytes_between_tasks == 77
    assert all(name.startswith("backbone.") for name in learner.method.state_dict())


def test_without_weight_it_is_fine_tuning_to_the_bit():
    found = play(build(NAME, replay_weight=0.0, **SMALL), make_synthesis(), 1, 2).method
    assert same(weights(found), weights(play(build("finetune"), None, 1, 2).method))


def test_its_pictures_and_synthetic_batches_are_gifts():
    seen = []
    for method in (build(NAME, **SMALL), gift(**OFF)):
        synthesis = make_synthesis()
        ctx_rows, start = [], method.start

        def started(task, ctx, method=method, start=start, rows=ctx_rows):
            start(task, ctx)
            method._rows = (rows.append(found.tolist()) or found for found in method._rows)

        method.start = started
        play(method, synthesis, 1, 2)
        seen.append((synthesis.store.generator.asked, ctx_rows))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("settings", [{"replay_weight": 0.2}, {"task_prompts": False}, {"pictures": 20}], ids=str)
def test_every_switch_changes_the_result(settings):
    plain = play(build(NAME, **SMALL), make_synthesis(), 1, 2).method
    assert not same(weights(play(build(NAME, **SMALL | settings), make_synthesis(), 1, 2).method), weights(plain))


def test_synthetic_presentations_are_counted():
    reports = play(build(NAME, **SMALL), make_synthesis(), 1, 2, steps=6, reference_batch=4).reports
    assert [report.usage.synthetic_pictures for report in reports] == [24, 24]
    assert [report.usage.generated_pictures for report in reports] == [12, 12]


def test_nothing_of_a_task_is_left_when_it_is_done():
    assert set(vars(play(build(NAME, **SMALL), make_synthesis(), 1).method)) == set(vars(build(NAME, **SMALL)))


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    whole = play(build(NAME, **SMALL), make_synthesis(), 1, 2, 3)
    play(build(NAME, **SMALL), make_synthesis(), 1).save(tmp_path / "state")
    other = play(build(NAME, seed=9, **SMALL), make_synthesis())
    other.load(tmp_path / "state")
    for index in (2, 3):
        other.learn(make_task(index), lambda done, total, word: None)
    assert same(other.method.state_dict(), whole.method.state_dict())


def test_it_has_gifts_numbers_of_pictures_and_steps():
    for scale in ("full", "mini"):
        own, theirs = (make_settings(load_method(name), {}, scale) for name in (NAME, "gift"))
        assert (own.pictures, own.denoising_steps) == (theirs.pictures, theirs.denoising_steps)


@pytest.mark.parametrize("settings", [{"pictures": 0}, {"denoising_steps": 0}], ids=str)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        build(NAME, **settings)


def test_pictures_of_equal_prompts_share_the_mass():
    moment = Moment(NAME)
    moment.method._same = torch.zeros_like(moment.method._same)
    found = cosines(*moment.synthetic(moment.method.backbone))
    even = -torch.log_softmax(found, dim=1).mean()  # whatever the smoothing
    assert moment.loss().item() == pytest.approx((moment.plain() + even).item(), rel=1e-9)
