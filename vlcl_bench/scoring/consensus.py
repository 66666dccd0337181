"""Captions from a bank: of a picture's nearest captions, the one on which the others agree.

After Devlin et al., "Exploring nearest neighbor approaches for image captioning" (arXiv:1505.04467), with an F1
over unigrams and bigrams as the similarity of two captions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.bleu import caption_tokens

NEAREST = 25
_SAME = 1e-9
"""Means closer than this are equal: rounding must not decide between captions that agree equally well."""


class Bank:
    """A bank of captions, tokenised and counted once.

    The similarity of two captions A and B is F1 = 2 |A ∩ B| / (|A| + |B|), where a caption is the multiset of its
    unigrams and bigrams together (a caption of w tokens has w + (w − 1) of them), ∩ takes the smaller count of
    each, and |·| counts with repetition; 0 when both are empty. Tokens are those of BLEU-4.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self.captions = tuple(captions)
        if not self.captions:
            raise UsageError("a caption bank needs at least one caption")
        # One column for each n-gram and how often it was met before in the caption. Rows are then sets, and the
        # dot product of two rows is the size of the multiset intersection.
        columns: dict[tuple[tuple[str, ...], int], int] = {}
        indices: list[int] = []
        starts = [0]
        for caption in self.captions:
            met: Counter[tuple[str, ...]] = Counter()
            tokens = caption_tokens(caption)
            for gram in [*((token,) for token in tokens), *pairwise(tokens)]:
                indices.append(columns.setdefault((gram, met[gram]), len(columns)))
                met[gram] += 1
            starts.append(len(indices))
        self._indices = np.array(indices, dtype=np.int64)
        self._starts = np.array(starts, dtype=np.int64)
        self._columns = len(columns)

    def choose(self, nearest: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """(n,) the bank id with the highest mean F1 to the other k − 1 of its row in ``nearest`` (n, k).

        ``nearest``: distinct bank ids, best first; of equally good ones the first wins. Raises
        :class:`UsageError` for another shape, ids that are not in the bank, and an id twice in a row.
        """
        ids = self._checked(nearest)
        chosen = np.empty(len(ids), dtype=np.int32)
        # So many rows at a time that the work space stays small whatever n is.
        for start in range(0, len(ids), 256):
            part = ids[start : start + 256]
            agreement = self._f1(part).sum(axis=2)
            place = (agreement >= agreement.max(axis=1, keepdims=True) - _SAME).argmax(axis=1)
            chosen[start : start + 256] = part[np.arange(len(part)), place]
        return chosen

    def _checked(self, nearest: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        if not isinstance(nearest, np.ndarray) or nearest.ndim != 2 or nearest.dtype.kind not in "iu":
            raise UsageError("the nearest captions must be an array (n, k) of whole numbers")
        if nearest.shape[1] == 0:
            raise UsageError("each picture needs at least one nearest caption; k is 0")
        ids = nearest.astype(np.int64)
        wrong = (ids < 0) | (ids >= len(self.captions))
        if wrong.any():
            raise UsageError(f"{int(ids[wrong][0])} is not in the bank, which has {len(self.captions)} captions")
        if (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
            raise UsageError("a picture has the same nearest caption twice; they must be distinct")
        return ids

    def _f1(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """(n, k, k) F1 of each pair within a row of ``ids``, 0 on the diagonal."""
        from scipy.sparse import csr_array

        n, k = ids.shape
        flat = ids.ravel()
        sizes = self._starts[flat + 1] - self._starts[flat]
        ends = np.cumsum(sizes)
        within = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes)
        grams = self._indices[np.repeat(self._starts[flat], sizes) + within]
        # Each picture gets columns of its own, so that one sparse product gives all the k x k blocks and no more.
        picture = np.repeat(np.arange(n * k) // k, sizes)
        used, columns = np.unique(picture * self._columns + grams, return_inverse=True)
        starts = np.concatenate([[0], ends])
        sets = csr_array((np.ones(len(grams), dtype=np.int32), columns, starts), shape=(n * k, len(used)))
        product = (sets @ sets.T).tocoo()
        common = np.zeros((n * k, k))
        common[product.row, product.col % k] = product.data
        total = sizes.reshape(n, k, 1) + sizes.reshape(n, 1, k)
        f1 = 2.0 * common.reshape(n, k, k) / np.maximum(total, 1)
        f1[:, np.arange(k), np.arange(k)] = 0.0
        return f1


@lru_cache(maxsize=4)
def counted_bank(captions: tuple[str, ...]) -> Bank:
    """A bank of these captions, tokenised and counted once for all stages."""
    return Bank(captions)
