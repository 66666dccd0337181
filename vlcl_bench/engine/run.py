"""One run: stage 0, then learn a task, evaluate all tasks, commit; and the record at the end.

A stage is committed when the journal says so. The order within a stage is: save the method's state, evaluate,
write the predictions, then the journal's line. A run killed anywhere continues from the last committed stage
(or from a state whose evaluation was cut short) and ends in the same predictions, because everything random is
derived from the run's seed and the task and nothing from what happened before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.places import named
from vlcl_bench.common.progress import Reporter
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.data.store import Store
from vlcl_bench.engine.backbone import make_ready
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner, Learner, guarded, seed_everything
from vlcl_bench.engine.pictures import open_store, warn_of_pictures
from vlcl_bench.engine.prepare import Prepared, Request, prepare
from vlcl_bench.engine.provenance import (
    choose_device,
    in_words,
    precision_of,
    settle_determinism,
    settle_precision,
)
from vlcl_bench.engine.run_folder import finished_record, locked
from vlcl_bench.engine.sandbox.fences import words_on_missing
from vlcl_bench.engine.sandbox.kinds import Living
from vlcl_bench.engine.sandbox.supervisor import Supervisor, supervised
from vlcl_bench.engine.stages import Stages
from vlcl_bench.engine.states import Original
from vlcl_bench.engine.synthesis import open_synthesis
from vlcl_bench.engine.untouched import untouched_items
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.terms import Loans
from vlcl_bench.records.schema import Record
from vlcl_bench.records.streams import keep_protocol


@dataclass(frozen=True)
class Outcome:
    """Where the record is, the record, and whether it was there already."""

    folder: Path
    record: Record
    found_finished: bool


def run(request: Request, reporter: Reporter, started: float | None = None) -> Outcome:
    """Do what is asked, or what is left of it.

    ``started`` is when the command was given (``time.monotonic``), from which on the run's seconds count; else now.
    """
    started = time.monotonic() if started is None else started
    device = choose_device(request.device)
    with supervised(request, device) as supervisor:
        return _run(request, reporter, device, supervisor, started)


def _run(
    request: Request, reporter: Reporter, device: torch.device, supervisor: Supervisor | None, started: float
) -> Outcome:
    prepared = prepare(request, reporter, describe=supervisor.describe if supervisor else None)
    protocol, backbone, identity = prepared.protocol, prepared.backbone, prepared.identity
    warn_of_pictures(protocol, reporter)
    for remark in prepared.remarks:
        reporter.say(f"warning: {remark}")
    living = Living(request.isolation, supervisor.fences if supervisor else ())
    if supervisor is not None and (missing := words_on_missing(supervisor.missing)):
        reporter.say(missing)
    with locked(_folder_of(request, identity.run_hash), identity) as folder:
        keep_protocol(folder.path, request.protocol)
        if folder.journal.last("finished"):
            record = finished_record(folder.path, identity)
            folder.drop_stage_predictions()
            reporter.say(f"this run is already finished: {folder.path}")
            return Outcome(folder.path, record, True)
        settle_precision(device)
        precision = precision_of(backbone.parameters())
        reporter.say(in_words(device, precision))
        store = Store(request.store)
        loans = opened_loans(prepared, store, device, reporter)
        stored = open_store(protocol, prepared.places, store, reporter)
        settle_determinism()
        canary = make_ready(backbone, device, identity.backbone_sha256).status
        begun = folder.journal.last("evaluated", stage=0) is not None
        untouched = None if begun else untouched_items(
            backbone, identity.backbone_sha256, protocol, stored, store.root, device, reporter
        )  # fmt: skip
        logit_scale = float(backbone.logit_scale)
        sizes_before = backbone_sizes(backbone)
        original = original_weights(request, prepared)
        learner: Learner
        if supervisor is None:
            learner = in_process_learner(request, prepared, device, sizes_before, loans)
        else:
            backbone.to("cpu")
            learner = supervisor.learner(protocol, identity, sizes_before, loans)
        stages = Stages(folder, learner, protocol, stored, reporter, request.keep_states, living, original)
        stages.reference_notes = list(prepared.remarks)
        stages.untouched, stages.logit_scale = untouched, logit_scale
        stages.begin(started, precision)
        stages.go_through()
        return Outcome(folder.path, stages.conclude(identity, prepared.card, device, canary), False)


def _folder_of(request: Request, run_hash: str) -> Path:
    """The run's folder; what cannot be written there is told with the option that moves it."""
    if request.out is not None:
        return named(request.out, "this run", "--out (out)")
    return named(request.runs, "runs", "--runs (runs), or --out (out) for this one,") / run_hash


def opened_loans(prepared: Prepared, store: Store, device: torch.device, reporter: Reporter) -> Loans:
    """What the method declares that it uses beside the tasks, opened; the generator's weights are not loaded yet."""
    reference = prepared.reference.open(store, reporter) if prepared.reference else None
    return Loans(reference, open_synthesis(prepared.protocol, prepared.recipe, store.root, device))


def original_weights(request: Request, prepared: Prepared) -> Original:
    """The backbone's weights as they came, which states need not hold; loaded again where a method changed them."""
    name = request.backbone or prepared.protocol.backbone
    return Original.of(prepared.backbone.state_dict(), [prepared.backbone.state_dict, lambda: weights_of(name)])


def weights_of(name: str) -> dict[str, torch.Tensor]:
    """The weights of a backbone, loaded from their file."""
    return load_backbone(name).state_dict()


def in_process_learner(
    request: Request, prepared: Prepared, device: torch.device, sizes_before: Mapping[str, int], loans: Loans
) -> Learner:
    """The method in this process."""
    # The constructor of a method may draw random weights; they follow from the run's seed.
    seed_everything(derive_seed(request.seed, "construct"))
    with guarded("being made"):
        cls = prepared.method.load()
        method = cls(prepared.backbone, make_settings(cls, request.settings, prepared.protocol.scale))
    return InProcessLearner(method, prepared.protocol, request.seed, device, sizes_before, loans)
