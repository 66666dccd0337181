"""What the page on Auto-Seed VL2 claims, beside what was measured with our reconstruction of it on the mini streams.

The page has no code and no full paper; its numbers are on CIFAR-100 → ImageNet-R (C→R) with ViT-B/16 unless it says
otherwise. :data:`INTRO` says when a claim counts as reproduced. It is *not testable* where the page leaves out what
would be needed, or where what we measured would look the same whether the claim holds or not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from vlcl_bench.board.entries import Entry
from vlcl_bench.board.pages import MethodPage
from vlcl_bench.board.render.tables import table
from vlcl_bench.scoring.significance import Comparison, Difference, Items, compare, mean_metric

TITLE = "# Auto-Seed VL2: claimed and measured"
METHOD = "auto_seed_vl2"
CLASSES, CAPTIONS = "mini-c2r", "mini-c2f"
REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE, NOT_RUN = "reproduced", "not reproduced", "not testable", "not run yet"
FIDELITY = (0.89, 0.05)
SAVED = 95.0
MARGIN = 13.0
SAME = 2.0
"""Points within which an interval must lie for "no difference" to be shown, and not merely no difference seen."""
COPIES = 0.05
"""Share of real features' variance below which the seeds of a class are copies of each other."""
ABLATIONS = (
    ("without consistency", "consistency=False", -6.8),
    ("without gradient conditioning (random seeds)", "conditioning=noise", -13.3),
    ("without meta-update of the generator", "meta_update=first_task", -8.1),
    ("without seed pruning", "pruning=False", -0.2),
)
"""What is left out, its label on the board, and the page's change of the average accuracy on C→R.

The last one the page calls not significant.
"""

INTRO = """Generated from the records by `vlcl leaderboard build`; do not edit. The method on the board is our
reconstruction (`baselines/auto_seed_vl2/method.py` says what of it is the page's and what is ours), and the streams
are the mini twins with the mini CLIP, not CIFAR-100, ImageNet-R, COCO and Flickr30k with ViT-B/16. So a claim that is
not reproduced here may hold there, and one that is reproduced need not.

*Reproduced* means, for a difference: the claimed sign, and more than chance (paired bootstrap over test samples and
seeds, Holm's correction over the headline metrics, p < 0.05; for FWT, which is compared with 0, a 95 % interval on
that side of it); for a claimed margin, that the whole interval lies beyond it; for no difference, that the whole
interval lies within two points of 0. The size of a difference is not asked to agree. Cosine, bytes and variance are
compared with the number that is claimed, without a test. *Not testable* are claims for which the page leaves out what
is needed, and measurements that would look the same if the claim were wrong. The page's "average accuracy" on C→R is
read as Last. Its FWT is on "VL-CL", a stream that it does not define; the sign is looked for on the stream of classes.
It speaks of four benchmarks and names two."""


@dataclass(frozen=True)
class Claim:
    """A line of the page: what is claimed, where it was looked for, what was found, and what that comes to."""

    claim: str
    claimed: str
    where: str
    measured: str
    verdict: str


class Evidence:
    """Entries by protocol, method and label, and their comparisons, each computed once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {(entry.protocol, entry.method, entry.label): entry for entry in entries}
        self.compared: Callable[..., Comparison | None] = cache(self._compared)
        self.scores = cache(self._scores)

    def entry(self, protocol: str, method: str = METHOD, label: str = "") -> Entry | None:
        """An entry, if there is one."""
        return self._entries.get((protocol, method, label))

    def _compared(self, protocol: str, method: str, label: str) -> Comparison | None:
        own, other = self.entry(protocol), self.entry(protocol, method, label)
        if own is None or other is None:
            return None
        return compare(self.scores(protocol, METHOD, ""), self.scores(protocol, method, label))

    def _scores(self, protocol: str, method: str, label: str) -> dict[int, Items]:
        return dict(self._entries[protocol, method, label].item_scores())

    def difference(self, protocol: str, method: str, label: str, metric: str) -> Difference | None:
        """Auto-Seed VL2 minus another entry by a headline metric."""
        found = self.compared(protocol, method, label)
        return next((one for one in found.headlines if one.name == metric), None) if found else None

    def against_zero_shot(self, protocol: str, method: str, label: str = "") -> tuple[float, float, float] | None:
        """FWT of an entry with the bounds of its 95 % interval: its difference to what learns nothing."""
        if self.entry(protocol, method, label) is None:
            return None
        scores = self.scores(protocol, method, label)
        zero_shot = {
            seed: {task: rows[:1].repeat(len(rows), axis=0) for task, rows in items.items()}
            for seed, items in scores.items()
        }
        fwt = next(line for line in compare(scores, zero_shot).headlines if line.name == "fwt")
        return fwt.difference, fwt.low, fwt.high

    def logged_mean(self, key: str) -> float | None:
        """Mean of a figure of the seeds' reports over all tasks and runs of Auto-Seed VL2; ``None`` without any."""
        own = self.entry(CLASSES)
        records = [record for _, record in own.runs.values()] if own else []
        lines = [line for record in records for line in record.log if line.get("report") == "seeds"]
        values = [line[key] for line in lines if key in line]
        return statistics.fmean(values) if values else None

    def mean(self, metric: str, method: str, label: str = "") -> float | None:
        """Mean over seeds of a headline metric on the stream of classes, from the stored answers."""
        own = self.entry(CLASSES, method, label)
        return None if own is None else mean_metric(own.item_scores(), metric)

    def prunes(self) -> bool:
        """Whether the memory was ever full, so that its size decided what is kept."""
        own = self.entry(CLASSES)
        records = [record for _, record in own.runs.values()] if own else []
        return any(
            line.get("report") == "memory" and line["items"] >= record.identity.settings["memory"]
            for record in records
            for line in record.log
        )

    def bytes_kept(self, method: str, label: str = "", protocol: str = CLASSES) -> float | None:
        """Median of the bytes kept between tasks."""
        own = self.entry(protocol, method, label)
        return statistics.median(r.footprint.bytes_between_tasks for _, r in own.runs.values()) if own else None


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """Every claim of the page that has a number or a direction, in its order."""
    seen = Evidence(entries)
    found = [_ablation(seen, *one) for one in ABLATIONS]
    found += [
        _better(seen, "better than ER-VLM with ten times the memory", "more", "er_vlm"),
        _beats_pixels(seen),
        _memory(seen),
        _forward(seen, "FWT of Auto-Seed VL2", "+4.1 on \"VL-CL\"", METHOD, lambda low, high: low > 0),
        _no_forward(seen),
        _forward(seen, "FWT of generative replay", "below 0", "generative_replay", lambda low, high: high < 0),
        _fidelity(seen),
        _variance(seen),
        Claim(
            "better than the state of the art on average", "+8.7 %", "–",
            "the page names neither the methods nor all four streams", NOT_TESTABLE,
        ),
        Claim("BLEU-4 on C→F", "reported, no number", CAPTIONS, "see the board", NOT_TESTABLE),
        Claim("weaker on visual question answering", "-6 %", "–", "no such stream here", NOT_TESTABLE),
    ]  # fmt: skip
    return found


def claims_page(entries: Sequence[Entry]) -> str:
    """The claims as a Markdown page."""
    head = ["Claim", "claimed", "stream", "measured", ""]
    body = [[one.claim, one.claimed, one.where, one.measured, one.verdict] for one in claims(entries)]
    return "\n\n".join([TITLE, INTRO, table(head, body)]) + "\n"


PAGE = MethodPage("auto-seed-vl2.md", claims_page)


def _judged(claim: str, claimed: str, found: tuple[str, bool] | None) -> Claim:
    """A claim on the stream of classes: what was measured and whether that is as claimed; ``None`` without runs."""
    if found is None:
        return Claim(claim, claimed, CLASSES, "", NOT_RUN)
    measured, holds = found
    return Claim(claim, claimed, CLASSES, measured, REPRODUCED if holds else NOT_REPRODUCED)


def _ablation(seen: Evidence, name: str, label: str, claimed: float) -> Claim:
    found = seen.difference(CLASSES, METHOD, label, "last")
    nothing = abs(claimed) < 1
    words = f"{claimed:+.1f}" + (" (not significant)" if nothing else "")
    if found is None:
        return _judged(name, words, None)
    if not nothing:
        return _judged(name, words, (_shown(found, -1), found.significant and found.difference > 0))
    measured = _shown(found, -1)
    if not seen.prunes():
        measured += "; the memory was never full, so only the choice among candidates was left out"
    if not found.significant and max(-found.low, found.high) > SAME:
        return Claim(name, words, CLASSES, measured + "; too wide an interval to tell", NOT_TESTABLE)
    return _judged(name, words, (measured, not found.significant))


def _better(seen: Evidence, name: str, claimed: str, method: str) -> Claim:
    found = seen.difference(CLASSES, method, "", "last")
    measured = None if found is None else (_shown(found), found.significant and found.difference > 0)
    return _judged(name, claimed, measured)


def _beats_pixels(seen: Evidence) -> Claim:
    """The margin over generative replay, which says nothing of seeds where the zero-shot model has it as well."""
    name, claimed, other = "better than generative replay", f"more than {MARGIN:.0f} points", "generative_replay"
    found = seen.difference(CLASSES, other, "", "last")
    if found is None:
        return _judged(name, claimed, None)
    measured, zero_shot, theirs = _shown(found), seen.mean("last", "zero_shot"), seen.mean("last", other)
    if zero_shot is not None and theirs is not None and zero_shot - theirs > MARGIN:
        measured += (
            f"; but the zero-shot model is better by {zero_shot - theirs:+.1f}, too: "
            "generative replay trains both towers"
        )
        return Claim(name, claimed, CLASSES, measured, NOT_TESTABLE)
    return _judged(name, claimed, (measured, found.low > MARGIN))


def _memory(seen: Evidence) -> Claim:
    name, claimed = "memory against exemplar replay", f"-{SAVED:.0f} %"
    own, other = seen.bytes_kept(METHOD), seen.bytes_kept("er_vlm")
    if own is None or other is None:
        return _judged(name, claimed, None)
    words = (
        f"{100 * (own / other - 1):+.0f} % ({own:,.0f} bytes against {other:,.0f} with pictures as raw pixels; "
        "adapters and generator included)"
    )
    return _judged(name, claimed, (words, own <= (1 - SAVED / 100) * other))


def _forward(seen: Evidence, name: str, claimed: str, method: str, holds: Callable[[float, float], bool]) -> Claim:
    """FWT, judged by the bounds of its interval."""
    found = seen.against_zero_shot(CLASSES, method)
    if found is None:
        return _judged(name, claimed, None)
    value, low, high = found
    return _judged(name, claimed, (f"{value:+.1f} ({low:+.1f} to {high:+.1f})", holds(low, high)))


def _no_forward(seen: Evidence) -> Claim:
    """An FWT of about 0: shown where the whole interval is near it, denied where it leaves 0 out."""
    name, claimed = "FWT of ER-VLM", "about 0"
    found = seen.against_zero_shot(CLASSES, "er_vlm")
    if found is None:
        return _judged(name, claimed, None)
    value, low, high = found
    measured = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    if low <= 0 <= high and max(-low, high) > SAME:
        return Claim(name, claimed, CLASSES, measured + "; too wide an interval to tell", NOT_TESTABLE)
    return _judged(name, claimed, (measured, low <= 0 <= high))


def _fidelity(seen: Evidence) -> Claim:
    images, texts = seen.logged_mean("fidelity_image"), seen.logged_mean("fidelity_text")
    found = None
    if images is not None and texts is not None:
        found = f"{images:.2f} (pictures), {texts:.2f} (texts)", abs(images - FIDELITY[0]) <= FIDELITY[1]
    return _judged("cosine of seeds with real class means", f"{FIDELITY[0]} ± {FIDELITY[1]}", found)


def _variance(seen: Evidence) -> Claim:
    """Seeds that are copies of each other vary little in every direction, which is not what is claimed."""
    name, claimed = "variance along task-irrelevant directions, to real features'", "lower"
    inside, outside = seen.logged_mean("variance_inside"), seen.logged_mean("variance_outside")
    if inside is None or outside is None:
        return _judged(name, claimed, None)
    measured = f"ratio {outside:.4f}; along the others {inside:.4f}"
    if max(inside, outside) < COPIES:
        return Claim(name, claimed, CLASSES, measured + ": the seeds of a class are nearly copies", NOT_TESTABLE)
    return _judged(name, claimed, (measured, outside < min(1.0, inside)))


def _shown(found: Difference, sign: int = 1) -> str:
    """A difference with its interval; with -1 that of the other entry to Auto-Seed VL2."""
    low, high = sorted((sign * found.low, sign * found.high))
    p = "< 0.001" if found.p_corrected < 0.001 else f"= {found.p_corrected:.3f}"
    return f"{sign * found.difference:+.1f} ({low:+.1f} to {high:+.1f}, p {p})"
