"""Fetching data sets: official archives through torchvision's own downloads, or the hub's copies as they are."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import machine_error, refusal_in
from vlcl_bench.common.places import folder_of, named
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import MachineError, UsageError

TORCHVISION: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "aircraft": ("FGVCAircraft", ({"split": "train"},)),
    "caltech101": ("Caltech101", ({},)),
    "cifar100": ("CIFAR100", ({"train": True},)),
    "dtd": ("DTD", ({"split": "train"},)),
    "eurosat": ("EuroSAT", ({},)),
    "flowers102": ("Flowers102", ({"split": "train"},)),
    "food101": ("Food101", ({"split": "train"},)),
    "mnist": ("MNIST", ({"train": True},)),
    "oxford_pets": ("OxfordIIITPet", ({"split": "trainval"},)),
    "sun397": ("SUN397", ({},)),
}
"""Classes of torchvision that download and unpack the official archive, with their arguments."""


def wanted_place(data_root: Path | None, hub_root: Path | None) -> tuple[Path | None, Path | None]:
    """Data root and hub root as the command line says, else ``$VLCL_DATA_ROOT``, else ``$VLCL_HUB_ROOT``.

    What is typed wins over the variables, so that at most one of them is taken from there. The folder need not be
    there yet.
    """
    if data_root is not None or hub_root is not None:
        return data_root, hub_root
    root = folder_of("VLCL_DATA_ROOT")
    return (root, None) if root is not None else (None, folder_of("VLCL_HUB_ROOT"))


def fetch(name: str, data_root: Path | None, hub_root: Path | None) -> str:
    """Fetch one data set and say what to do next.

    Raises :class:`UsageError` where nobody hands it out to programs, and :class:`MachineError` where the network
    or the disk refuses.
    """
    spec = spec_of(name)
    if (data_root is None) == (hub_root is None):
        raise UsageError(
            "say where to put it: --data-root DIR for the official archive, or --hub-root DIR for the hub's copy",
            f"For instance: vlcl data get {name} --data-root data",
        )
    if data_root is not None:
        return _official(spec, data_root)
    assert hub_root is not None
    return _from_hub(spec, hub_root)


def _official(spec: RealSpec, root: Path) -> str:
    if spec.name not in TORCHVISION:
        raise UsageError(
            f"{spec.title} cannot be fetched by a program: its licence or its host asks for a person",
            f"Get it from {spec.source} and unpack it into {root / spec.folders[0]}.",
        )
    import torchvision

    kind, calls = TORCHVISION[spec.name]
    try:
        named(root, "fetched data sets", "--data-root").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise machine_error(error, root) from error
    for arguments in calls:
        try:
            getattr(torchvision.datasets, kind)(str(root), download=True, **arguments)
        except (OSError, RuntimeError, ImportError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise refusal_in(error) or MachineError(
                f"{spec.title} could not be fetched: {error}",
                f"Get it from {spec.source} and unpack it into {root / spec.folders[0]}.",
            ) from error
    return f"{spec.name}: in {root}; check it with: vlcl data verify {spec.name} --data-root {root}"


def _from_hub(spec: RealSpec, root: Path) -> str:
    if spec.hub is None:
        raise UsageError(
            f"no copy of {spec.title} on the hub gives this protocol's split",
            f"Get the official archive from {spec.source} and use --data-root.",
        )
    import huggingface_hub

    folder = named(root, "copies of the hub's data sets", "--hub-root") / spec.hub.repo
    try:
        huggingface_hub.snapshot_download(
            spec.hub.repo, repo_type="dataset", revision=spec.hub.revision, local_dir=str(folder)
        )
    except (OSError, huggingface_hub.errors.HfHubHTTPError, ValueError) as error:
        raise refusal_in(error) or MachineError(
            f"{spec.hub.repo} could not be fetched: {error}",
            "Is there a network, and have you accepted the data set's terms? HF_HUB_OFFLINE must not be set.",
        ) from error
    return f"{spec.name}: in {folder}; check it with: vlcl data verify {spec.name} --hub-root {root}"
