"""What a machine is and has, and whether that is enough: device, precision, versions, disk, store, data, backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vlcl_bench.cli.diagnostics import machine, storage
from vlcl_bench.cli.diagnostics.backbone import backbone_works
from vlcl_bench.cli.diagnostics.diagnosis import Diagnosis, worst


def examine(
    backbone: str,
    data_root: Path | None = None,
    hub_root: Path | None = None,
    store_root: Path | None = None,
    device: str = "auto",
) -> Iterator[Diagnosis]:
    """Everything, one finding after the other; nothing is raised for what the machine lacks.

    ``backbone`` is a name as for ``vlcl run``; ``data_root`` and ``hub_root`` are the folders of the real data sets and
    of copies of the hub's (else those of ``$VLCL_DATA_ROOT`` and ``$VLCL_HUB_ROOT``), ``store_root`` that of decoded
    pictures (else the default). The backbone is checked and timed on ``device``.
    """
    for check in (machine.processor, machine.graphics, machine.precision, machine.versions, machine.fences):
        yield from check()
    yield from storage.disk(store_root)
    yield from storage.store(store_root)
    yield from storage.data(data_root, hub_root)
    yield from backbone_works(backbone, device)


def as_object(diagnoses: list[Diagnosis]) -> dict[str, Any]:
    """The findings as one JSON object; ``status`` is the worst of them."""
    return {"status": worst(diagnoses), "findings": [asdict(diagnosis) for diagnosis in diagnoses]}
