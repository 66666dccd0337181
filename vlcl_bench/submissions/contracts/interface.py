"""Is it a method: can it be imported, does it have settings, does it learn, answer and keep to its budget?"""

from __future__ import annotations

from vlcl_bench.common.fileio import canonical_json
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.submissions.contracts.contract import contract
from vlcl_bench.submissions.contracts.small_stream import BUDGET, WORLD
from vlcl_bench.submissions.contracts.trial import Trial
from vlcl_bench.submissions.finding import Finding

UNKNOWN = "no_such_setting_for_sure"


@contract("import", "importing", "contract-interface")
def importing(trial: Trial) -> list[Finding]:
    """The method's file imports and holds one class that derives from Method, with a title and all that is required."""
    _ = trial.method
    return []


@contract("defaults", "default settings", "contract-settings", requires=["import"], failure="contract-settings")
def defaults(trial: Trial) -> list[Finding]:
    """The method can be made without naming a setting: each has a default."""
    make_settings(trial.method, {}, WORLD)
    return []


@contract("settings", "settings", "contract-settings", requires=["defaults"], failure="contract-settings")
def settings(trial: Trial) -> list[Finding]:
    """A setting that does not exist is refused, settings cannot be changed during a run, and a record can hold them."""
    config, reasons = make_settings(trial.method, {}, WORLD), []
    try:
        make_settings(trial.method, {UNKNOWN: 1}, WORLD)
        reasons.append("a setting that it does not have is taken without a word")
    except UsageError:
        pass
    field = next(iter(type(config).model_fields), None)
    if field is not None:
        try:
            setattr(config, field, getattr(config, field))
            reasons.append(f"its settings can be changed while it runs ({field} was)")
        except (ValueError, TypeError, AttributeError):
            pass
    try:
        canonical_json(config.model_dump(mode="json"))
    except (ValueError, TypeError) as error:
        reasons.append(f"its settings cannot be stored in a record: {error}")
    if not reasons:
        return []
    hint = "Derive Config from vlcl_bench.methods.base.Config and leave its model_config alone."
    return [Finding("contract-settings", trial.where, "; ".join(reasons), hint)]


@contract("learning", "learning two tasks", "contract-interface", requires=["defaults"])
def learning(trial: Trial) -> list[Finding]:
    """The method learns two tasks one after the other, saves a state of tensors, and gives finite logits of the right
    shape, a row for each picture and a column for each name.
    """
    _ = trial.learned
    return []


@contract("track", "budget and track", "contract-track", requires=["learning"])
def track(trial: Trial) -> list[Finding]:
    """No task draws more pictures than the budget allows, or submission.toml declares the track open-budget."""
    most = {
        "task_pictures": BUDGET.presentations, "reference_pictures": BUDGET.reference_presentations,
        "synthetic_pictures": BUDGET.reference_presentations,
    }  # fmt: skip
    used = {key: max(report.usage.by_name()[key] for report in trial.learned.reports) for key in most}
    excess = [
        f"{used[key]} {key.replace('_', ' ')} where {allowed} are allowed"
        for key, allowed in most.items()
        if used[key] > allowed
    ]
    if not excess or trial.declared.get("track", "standard") != "standard":
        return []
    message = f"it declares the track standard, but a task used {' and '.join(excess)}: that is the track open-budget"
    hint = 'Draw batches for ctx.budget.steps steps only, or write track = "open-budget" in submission.toml.'
    return [Finding("contract-track", "submission.toml", message, hint)]
