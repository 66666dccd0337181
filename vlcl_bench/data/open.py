"""Opening a data set by the source that a protocol names."""

from __future__ import annotations

from collections.abc import Sequence

from vlcl_bench.data.interface import DataSet
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.world import world_of_source


def open_dataset(source: str, name: str, own: Sequence[RealSpec] = ()) -> DataSet:
    """The data set ``name`` of a source, a protocol's ``own`` ones first; :class:`UsageError` where there is none."""
    from vlcl_bench.data.real.dataset import RealDataSet

    for spec in own:
        if spec.name == name:
            return RealDataSet(spec, own=True)
    return world_of_source(source).open_dataset(name)
