"""All contracts of a method, one after the other, on a small stream and in this process."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlcl_bench.engine.learner import LearnReport
from vlcl_bench.errors import MethodError, UsageError, VlclError
from vlcl_bench.common.fileio import canonical_json
from vlcl_bench.methods.base import Method
from vlcl_bench.methods.card import make_settings
from vlcl_bench.submissions.contracts import invariance, lifecycle
from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.contracts.small_stream import BUDGET, WORLD, SmallStreams, Stream, draw
from vlcl_bench.submissions.contracts.trial import Answers, Trial, WatchedLearner, modules_restored

Progress = Callable[[int, int, str], None]
STEPS = (
    "drawing pictures", "settings", "learning two tasks", "batches and orders", "the same seed", "resuming",
    "saving and loading", "another seed", "groups of classes", "captions",
)  # fmt: skip
UNKNOWN = "no_such_setting_for_sure"


def examine(
    folder: Path, work: Path, store: Path | None = None, progress: Progress = lambda done, total, word: None,
    streams: SmallStreams | None = None,
) -> list[Fault]:  # fmt: skip
    """Play a submission's method on small streams and return its faults, one for each contract that it breaks.

    ``work`` is an empty folder for its states; ``store`` the folder of decoded pictures, reading which is peeking.
    ``streams`` are drawn where they are not given.
    """
    with modules_restored():
        return _Examination(folder, work, store, progress, streams).all()


class _Examination:
    def __init__(
        self, folder: Path, work: Path, store: Path | None, progress: Progress, streams: SmallStreams | None
    ) -> None:
        self.folder, self.progress = folder, progress
        progress(0, len(STEPS), STEPS[0])
        self.trial = Trial(folder, streams or draw(), work, store)
        self.where = "method.py"
        self.faults: list[Fault] = []

    def all(self) -> list[Fault]:
        """Every contract; what cannot be judged after a fault is left out."""
        loaded = self.step("contract-interface", self.trial.load)
        if loaded is not None:
            self.where = self.file_name()
            self.progress(1, len(STEPS), STEPS[1])
            settled = self.step("contract-settings", self.settings, loaded)
            self.faults += settled or []
            played = None if settled is None else self.step("contract-interface", self.played, loaded)
            if played is not None:
                self.after(*played)
            for number, (code, stream) in enumerate(
                (("contract-groups", self.trial.streams.groups), ("contract-captions", self.trial.streams.captions)), 8
            ):
                self.progress(number, len(STEPS), STEPS[number])
                if played is not None:
                    self.faults += self.other_kind(code, stream)
        self.faults += self.peeked()
        self.progress(len(STEPS), len(STEPS), "done")
        return self.faults

    def step(self, code: str, doing: Callable[..., Any], *arguments: Any) -> Any:
        """What ``doing`` returns; ``None`` and a fault of this code where it raises."""
        try:
            return doing(*arguments)
        except VlclError as error:
            self.faults.append(Fault(code, self.where, error.message, _hint(error)))
        return None

    def file_name(self) -> str:
        """The method's file as the submission names it."""
        path = self.folder / "submission.toml"
        if (self.folder / "method.py").exists() or not path.exists():
            return "method.py"
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("method", "method.py"))

    def settings(self, loaded: type[Method]) -> list[Fault]:
        """Unknown settings are refused, the defaults are enough, and nobody can change them afterwards."""
        cls, said = loaded, []
        config = make_settings(cls, {}, WORLD)
        try:
            make_settings(cls, {UNKNOWN: 1}, WORLD)
            said.append("a setting that it does not have is taken without a word")
        except UsageError:
            pass
        field = next(iter(type(config).model_fields), None)
        if field is not None:
            try:
                setattr(config, field, getattr(config, field))
                said.append(f"its settings can be changed while it runs ({field} was)")
            except (ValueError, TypeError, AttributeError):
                pass
        try:
            canonical_json(config.model_dump(mode="json"))
        except (ValueError, TypeError) as error:
            said.append(f"its settings cannot be stored in a record: {error}")
        if not said:
            return []
        hint = "Derive Config from vlcl_bench.methods.base.Config and leave its model_config alone."
        return [Fault("contract-settings", self.where, "; ".join(said), hint)]

    def played(self, loaded: type[Method]) -> tuple[WatchedLearner, lifecycle.State, lifecycle.State, Answers]:
        """Two tasks learned, each scored and saved: the learner, both states, the last answers."""
        self.progress(2, len(STEPS), STEPS[2])
        trial, states, answers, reports = self.trial, [], [], []
        learner = trial.learner(loaded=loaded)
        for number, task in enumerate(trial.streams.whole.tasks, start=1):
            reports.append(learner.learn(task, lambda done, total, word: None))
            learner.footprint()
            states.append(learner.state())
            learner.save(trial.work / f"state-{number}.safetensors")
            answers.append(trial.ask(learner))
        self.faults += self.track(reports)
        self.faults += lifecycle.kept_beside(learner, self.where)
        return learner, states[0], states[1], answers[-1]

    def after(self, learner: WatchedLearner, first: Any, second: Any, answers: Answers) -> None:
        """What is judged of a method that has learned and answered without complaint."""
        trial, where, total = self.trial, self.where, len(STEPS)
        self.progress(3, total, STEPS[3])
        asked = self.step("contract-interface", invariance.check, trial, learner, where, answers) or []
        self.faults += asked
        if any(fault.code == "contract-repeat" for fault in asked):
            return  # answers that are others each time cannot be compared
        self.progress(4, total, STEPS[4])
        seeds = self.step("contract-seed", lifecycle.same_seed, trial, where, first, second, answers)
        codes = {fault.code for fault in self.faults}
        self.faults += [fault for fault in seeds or [] if fault.code not in codes]
        if seeds is None or seeds:
            return  # nor can what two objects have learned
        for number, code, contract in (
            (5, "contract-resume", lifecycle.resume), (6, "contract-state", lifecycle.round_trip),
        ):  # fmt: skip
            self.progress(number, total, STEPS[number])
            self.faults += self.step(code, contract, trial, where, second, answers) or []
        self.progress(7, total, STEPS[7])
        self.faults += self.step("contract-deterministic", lifecycle.other_seed, trial, where, answers) or []

    def track(self, reports: list[LearnReport]) -> list[Fault]:
        """More pictures than the budget allows make the track ``open-budget``, and it must say so."""
        most = {
            "task_pictures": BUDGET.presentations, "reference_pictures": BUDGET.reference_presentations,
            "synthetic_pictures": BUDGET.reference_presentations,
        }  # fmt: skip
        used = {key: max(report.usage.by_name()[key] for report in reports) for key in most}
        over = [
            f"{used[key]} {key.replace('_', ' ')} where {allowed} are allowed"
            for key, allowed in most.items()
            if used[key] > allowed
        ]
        if not over or self.declared_track() != "standard":
            return []
        message = f"it declares the track standard, but a task used {' and '.join(over)}: that is the track open-budget"
        hint = 'Draw batches for ctx.budget.steps steps only, or write track = "open-budget" in submission.toml.'
        return [Fault("contract-track", "submission.toml", message, hint)]

    def declared_track(self) -> str:
        """The track in ``submission.toml``, ``standard`` where there is none."""
        path = self.folder / "submission.toml"
        said = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return str(said.get("track", "standard"))

    def other_kind(self, code: str, stream: Stream) -> list[Fault]:
        """Learn and score tasks of another kind; captions may be refused in plain words."""
        captioned = stream.tasks[0].captions is not None
        kind = "a task with captions" if captioned else "classes that come in groups"
        try:
            learner = self.trial.learner(stream=stream)
            for task in stream.tasks:
                learner.learn(task, lambda done, total, word: None)
            self.trial.ask(learner, stream)
        except MethodError as error:
            if captioned and error.__cause__ is None:
                return []
            hint = _hint(error)
            if captioned:
                hint = (
                    "Use task.captions where it is not None, or refuse such tasks: raise MethodError with the reason. "
                    "It matters for caption streams only."
                )
            return [Fault(code, self.where, f"on {kind}: {error.message}", hint, severe=not captioned)]
        except VlclError as error:
            return [Fault(code, self.where, f"on {kind}: {error.message}", _hint(error), severe=not captioned)]
        return []

    def peeked(self) -> list[Fault]:
        """What the watch has seen."""
        seen = list(self.trial.watch.seen.values())
        if not seen:
            return []
        more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
        message = f"its code reaches out of what it is given: it {'; it '.join(seen[:3])}{more}"
        hint = (
            "Use the task, the context and the query only; keep what a later task needs in buffers, not in files. "
            "Files beside the method may be read."
        )
        return [Fault("contract-peeking", self.where, message, hint)]


def _hint(error: VlclError) -> str:
    """An error's advice without what holds for runs only."""
    advice = error.hint or "Mend that in the method's file; `vlcl methods new FILE` writes one that works."
    return advice if "--out" not in advice else "`python -m vlcl_bench.submissions.contracts.examiner FOLDER` shows where it happened."
