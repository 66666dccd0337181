"""Corpus BLEU-4 as the COCO caption evaluation prints it, and its tokens.

The score is sacreBLEU's (Post, WMT 2018) on our tokens, without smoothing: clipped counts against the largest
count in any reference, the closest reference length (the shorter of two equally close) and the brevity penalty
of Papineni et al. (ACL 2002). It agrees with the scorer of ``coco-caption`` (Chen et al., arXiv:1504.00325)
wherever some n-gram of each length matches. Elsewhere BLEU-4 is 0 here; that scorer adds 1e-15 to each count of
matches and 1e-9 to each count of n-grams, which gives a little more than 0, and to right captions of only three
words 3 percent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from vlcl_bench.errors import UsageError

_SAME_SIGN = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "–": " ", "—": " ", "…": " "})
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# What none of the alternatives matches is dropped: white space and " ' . ? ! , : ; - standing alone or in runs.
_TOKEN = re.compile(
    r"""
      (?<!\w)(?:[a-z]\.){2,}                                                # initials: u.s.
    | (?<!\w)(?:mr|mrs|ms|dr|st|jr|sr|vs|etc|prof|capt|col|gen|sgt|lt|ave|blvd|inc|ltd|co|corp|dept)\.(?!\w)
    | (?<!\w)no\.(?=\s*\d)                                                  # no. 23
    | (?<![\w'])'(?:\d\ds?|s|m|d|ll|re|ve)(?!\w)                            # '90s; man 's, split already
    | \d+(?:[.,:/]\d+)+(?![\w-])                                            # 1,000 and 10:30 and 1/2
    | \w+(?:['&./-]\w+)*                                                    # words, hyphens within them
    | [^\w\s"'.?!,:;-]                                                      # any other sign by itself
    """,
    re.VERBOSE,
)
_CLITIC = re.compile(r"(?<=\w)(?=n't$|'(?:s|m|d|ll|re|ve)$)")
_TWO_WORDS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
}


def caption_tokens(caption: str) -> tuple[str, ...]:
    """Lower-case tokens of a caption in the manner of the Penn Treebank, without punctuation.

    As ``coco-caption``: ``man's`` is ``man 's``, ``don't`` is ``do n't``, hyphenated words stay whole, and quotes
    and ``. ? ! , : ; - -- ...`` are dropped. Brackets become ``-lrb-`` and so on, and stay: that evaluation lists
    them in upper case among the signs to drop, but lowers the text first.
    """
    return tuple(tokenised(caption).split())


@lru_cache(maxsize=1 << 17)
def tokenised(caption: str) -> str:
    """The tokens of :func:`caption_tokens`, joined by single spaces."""
    found: list[str] = []
    for token in _TOKEN.findall(caption.lower().translate(_SAME_SIGN)):
        if token in _BRACKETS:
            found.append(_BRACKETS[token])
        elif token in _TWO_WORDS:
            found.extend(_TWO_WORDS[token])
        else:
            found.extend(_CLITIC.split(token))
    return " ".join(found)


class References:
    """The reference captions of some pictures, counted once for many candidates.

    ``references[i]``: one or more captions of picture ``i`` (COCO has about five). Raises :class:`UsageError` when
    there is no picture, or a picture without a caption.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        from sacrebleu.metrics.bleu import BLEU

        if not references:
            raise UsageError("BLEU-4 needs reference captions of at least one picture")
        for i, captions in enumerate(references):
            if isinstance(captions, str) or not captions:
                raise UsageError(f"the references of picture {i} must be a list of captions, at least one")
        joined = [[tokenised(caption) for caption in captions] for captions in references]
        # One list per place among the references; None where a picture has fewer than the others.
        places = list(zip_longest(*joined))
        self._bleu = BLEU(tokenize="none", smooth_method="none", force=True, references=places)
        self._pictures = len(references)

    def bleu4(self, candidates: Sequence[str]) -> float:
        """Corpus BLEU-4 in percent, 0 to 100, of one candidate caption per picture."""
        if len(candidates) != self._pictures:
            raise UsageError(f"there are {len(candidates)} candidate captions for {self._pictures} pictures")
        joined = [tokenised(caption) for caption in candidates]
        # The sum of logarithms may end a hair above 100.
        return min(100.0, float(self._bleu.corpus_score(joined, None).score))


def bleu4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 in percent, 0 to 100; ``candidates[i]`` against the captions ``references[i]``.

    0 when no n-gram of some length from 1 to 4 matches. Raises :class:`UsageError` when the numbers differ or a
    picture has no reference.
    """
    return References(references).bleu4(candidates)
