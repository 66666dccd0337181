"""The folder layouts of real data sets, as torchvision and the official archives unpack, and where to look for them."""

from __future__ import annotations

from pathlib import Path

from vlcl_bench.data.real import layouts_arrays, layouts_folders, layouts_lists
from vlcl_bench.data.real.file_names import on_disk
from vlcl_bench.data.real.layouts_common import Reader
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import UsageError

LAYOUTS: dict[str, Reader] = {
    "aircraft": layouts_lists.aircraft,
    "cars": layouts_lists.cars,
    "cifar": layouts_arrays.cifar,
    "class_folders": layouts_folders.class_folders,
    "dtd": layouts_lists.dtd,
    "flowers": layouts_lists.flowers,
    "folder": layouts_folders.split_folders,
    "food": layouts_lists.food,
    "mnist": layouts_arrays.mnist,
    "pets": layouts_lists.pets,
    "sun": layouts_folders.sun,
}
"""Readers by name: folder and specification in, entries in the data set's own order out.

A reader checks the copy's own list of classes and that every listed file is there, and raises
:class:`IntegrityError` with the first difference; it opens no picture.
"""


def locate(spec: RealSpec, root: Path) -> Path:
    """The folder below the data root that holds the data set: the first of ``spec.folders`` that is there.

    Raises :class:`UsageError` with the exact folder to make, where the data set is available, and the alternatives.
    """
    for folder in spec.folders:
        if on_disk(root, folder).is_dir():
            return on_disk(root, folder)
    others = f" ({', '.join(spec.folders[1:])} would do as well)" if len(spec.folders) > 1 else ""
    absent = f"{spec.name} is not in {root}: there is no folder {spec.folders[0]}{others}"
    if spec.is_own:
        raise UsageError(
            absent,
            f"Put it there so that there is {root / spec.folders[0]}, or name the folder that holds it with "
            "--data-root. `folders` under [[data]] in the protocol's file says what it is called.",
        )
    raise UsageError(
        absent,
        f"Get it from {spec.source} and unpack it so that {root / spec.folders[0]} is there.",
    )
