"""What a machine is and has, and whether that is enough: device, precision, versions, disk, store, data, backbone."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlcl_bench.errors import VlclError

if TYPE_CHECKING:
    from vlcl_bench.data.interface import Places

Status = Literal["ok", "warning", "problem"]
PACKAGES = ("torch", "torchvision", "open_clip_torch", "datasets", "numpy", "pillow")
LOCK = Path(__file__).parents[1] / "requirements.lock"
FULL_STORE = 14.6e9
"""Bytes of the decoded test pictures of the eleven MTIL sets: 97,209 pictures of 224 x 224 x 3."""
RUN_SPACE = 2e9
"""Bytes for one run on ViT-B/16: two states of 600 MB, predictions, and some room."""
TIMED_PICTURES, TIMED_PASSES = 32, 3


@dataclass(frozen=True)
class Finding:
    """One line: ``topic``, ``status``, what was found, what to do, and the same as data."""

    topic: str
    status: Status
    text: str
    hint: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def examine(
    backbone: str,
    data_root: Path | None = None,
    hub_root: Path | None = None,
    store_root: Path | None = None,
    device: str = "auto",
) -> Iterator[Finding]:
    """Everything, one finding after the other; nothing is raised for what the machine lacks.

    ``backbone`` is a name as for ``vlcl run``; ``data_root`` and ``hub_root`` are the folders of the real data sets and
    of copies of the hub's (else those of ``$VLCL_DATA_ROOT`` and ``$VLCL_HUB_ROOT``), ``store_root`` that of decoded
    pictures (else the default). The backbone is checked and timed on ``device``.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (processor, graphics, precision, versions)
    for check in checks:
        yield from check()
    yield from disk(store_root)
    yield from store(store_root)
    yield from data(data_root, hub_root)
    yield from backbone_works(backbone, device)


def as_object(findings: list[Finding]) -> dict[str, Any]:
    """The findings as one JSON object; ``status`` is the worst of them."""
    return {"status": worst(findings), "findings": [asdict(finding) for finding in findings]}


def worst(findings: list[Finding]) -> Status:
    """The most serious status there is."""
    found = {finding.status for finding in findings}
    return "problem" if "problem" in found else "warning" if "warning" in found else "ok"


def processor() -> Iterator[Finding]:
    """The processor, its cores, and the threads that torch uses."""
    import psutil  # type: ignore[import-untyped,unused-ignore]
    import torch

    from vlcl_bench.engine.provenance import processor_name

    facts = {
        "processor": processor_name(), "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "threads": torch.get_num_threads(), "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "memory_bytes": psutil.virtual_memory().total, "platform": f"{platform.system()} {platform.machine()}",
    }  # fmt: skip
    text = (
        f"{facts['processor']}, {facts['cores']} cores, torch uses {facts['threads']} threads "
        f"({facts['cpu_capability']}), {gigabytes(facts['memory_bytes'])} of memory"
    )
    yield Finding("processor", "ok", text, facts=facts)


def graphics() -> Iterator[Finding]:
    """The CUDA devices and their memory."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(count):
        try:
            found = torch.cuda.get_device_properties(number)
            free, total = torch.cuda.mem_get_info(number)
        except RuntimeError as error:
            hint = f"Hide it with CUDA_VISIBLE_DEVICES, or use --device cpu: {error}"
            yield Finding("cuda", "problem", f"cuda:{number} does not answer", hint, {"device": f"cuda:{number}"})
            continue
        text = f"cuda:{number} {found.name}, {gigabytes(free)} of {gigabytes(total)} free"
        facts = {"device": f"cuda:{number}", "name": found.name, "memory_bytes": total, "free_bytes": free}
        yield Finding("cuda", "ok", text, facts=facts)
    if not count:
        yield Finding(
            "cuda", "warning", "no CUDA device: everything runs on the processor",
            "Enough for the mini protocols. The full ones take days without a GPU; if there is one, install a torch "
            "that is built for its driver.",
            {"device": None},
        )  # fmt: skip


def precision() -> Iterator[Finding]:
    """The default type, TF32, and whether there is bfloat16."""
    import torch

    cuda = torch.cuda.is_available()
    tf32 = tf32_on() if cuda else []
    facts = {
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": tf32 if cuda else None,
        "bf16": bool(torch.cuda.is_bf16_supported()) if cuda else _processor_has_bf16(),
    }
    text = f"{facts['default_dtype']}, matrix products in {facts['matmul_precision']} precision"
    text += f", TF32 {'on for ' + ' and '.join(tf32) if tf32 else 'off'}" if cuda else ""
    text += f", bfloat16 {'available' if facts['bf16'] else 'not available'}"
    if facts["default_dtype"] != "float32":
        hint = "Protocols are fp32: remove what calls torch.set_default_dtype."
        yield Finding("precision", "problem", text, hint, facts)
    elif facts["matmul_precision"] != "highest":
        hint = "Matrix products are rounded; protocols are fp32. Remove what calls torch.set_float32_matmul_precision."
        yield Finding("precision", "warning", text, hint, facts)
    elif tf32:
        hint = "Protocols are fp32: `vlcl run` switches TF32 off by itself, other programs here compute with it."
        yield Finding("precision", "warning", text, hint, facts)
    else:
        yield Finding("precision", "ok", text, facts=facts)


def tf32_on() -> list[str]:
    """What a CUDA device would compute in TF32, in words, by torch's settings (its default: convolutions)."""
    import torch

    backends: Any = torch.backends  # its stubs do not know all of it
    settings = {"convolutions": backends.cudnn.conv, "matrix products": backends.cuda.matmul}
    return [what for what, setting in settings.items() if setting.fp32_precision == "tf32"]


def versions() -> Iterator[Finding]:
    """Versions of what computes, compared with ``requirements.lock`` where it lies beside the package."""
    found = {"python": platform.python_version()}
    missing = []
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    text = ", ".join(f"{name} {number}" for name, number in found.items())
    facts: dict[str, Any] = {"versions": found, "missing": missing}
    if missing:
        hint = "Install the package again with its dependencies."
        yield Finding("versions", "problem", f"{text}; missing: {', '.join(missing)}", hint, facts)
        return
    if not LOCK.is_file():
        yield Finding("versions", "ok", f"{text} (no requirements.lock here to compare with)", facts=facts)
        return
    pins = pinned(LOCK.read_text(encoding="utf-8"))
    other = {
        name: sorted(pins[name.replace("_", "-")])
        for name in PACKAGES
        if name.replace("_", "-") in pins and found[name].partition("+")[0] not in pins[name.replace("_", "-")]
    }
    facts["other_than_locked"] = other
    if other:
        listed = ", ".join(f"{name} {found[name]} (locked: {' or '.join(want)})" for name, want in other.items())
        hint = "Results may differ a little from the committed ones. `pip install -r requirements.lock` gives the same."
        yield Finding("versions", "warning", f"{text}; other than in requirements.lock: {listed}", hint, facts)
    else:
        yield Finding("versions", "ok", f"{text}, as in requirements.lock", facts=facts)


def pinned(lock: str) -> dict[str, set[str]]:
    """Package names (normalised) and the versions that a lock file allows, whatever their markers."""
    pins: dict[str, set[str]] = {}
    for name, number in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        pins.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(number.partition("+")[0])
    return pins


def disk(store_root: Path | None = None) -> Iterator[Finding]:
    """Free space where the store (``store_root``, else the default), runs and the user's data are."""
    from vlcl_bench.common.places import data_home
    from vlcl_bench.data.store import default_root

    root = store_root or default_root()
    stored = folder_bytes(root)
    places = (
        ("store", root, FULL_STORE - stored, "VLCL_STORE"),
        ("runs", Path("runs").absolute(), RUN_SPACE, None),
        ("data home", data_home(), 1e7, "VLCL_DATA_HOME"),
    )
    for what, place, needed, variable in places:
        there = existing(place)
        free = shutil.disk_usage(there).free
        facts = {"what": what, "path": str(place), "free_bytes": free, "needed_bytes": max(0, int(needed))}
        move = f"Set {variable} to a folder elsewhere" if variable else "Work in another folder"
        text = f"{what}: {gigabytes(free)} free at {place}"
        if not writable(there):
            yield Finding("disk", "problem", f"{what}: {there} cannot be written", f"{move}.", facts)
        elif free < needed:
            hint = f"The full protocols need {gigabytes(needed)} here, the mini ones far less. {move}, or free some."
            yield Finding("disk", "warning", text, hint, facts)
        else:
            yield Finding("disk", "ok", text, facts=facts)


def store(root: Path | None = None) -> Iterator[Finding]:
    """How much the store of decoded pictures (``root``, else the default) holds."""
    from vlcl_bench.data.store import default_root

    root = root or default_root()
    entries = sorted(path.parent.name for path in root.glob("*/index.json"))
    size = folder_bytes(root)
    text = f"{len(entries)} data sets, {gigabytes(size)} in {root}"
    yield Finding("store", "ok", text, facts={"path": str(root), "entries": entries, "bytes": size})


def data(root: Path | None, hub_root: Path | None = None) -> Iterator[Finding]:
    """Which of the real data sets are here; whether they are the right ones is for `vlcl data verify`.

    Looked for as a run does it: below the data root where there is one, then among the copies of the hub's.
    """
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.inventory import find_copy
    from vlcl_bench.data.real.catalogue import spec_of

    try:
        places = Places.given(root, hub_root)
    except VlclError as error:
        yield Finding("data", "problem", error.message, error.hint, {"root": str(root) if root else None})
        return
    if places.root is None and places.hub_root is None:
        text = "no data root was given, so the real data sets were not looked for"
        hint = "Add --data-root FOLDER or --hub-root FOLDER to see which are there."
        yield Finding("data", "ok", text, hint, {"root": None})
        return
    roots = [root for root in (places.root, places.hub_root) if root is not None]
    copies = {name: find_copy(spec_of(name), places)[0] for name in _looked_for(places)}
    there = {name: None if folder is None else str(folder) for name, folder in copies.items()}
    missing = [name for name, place in there.items() if place is None]
    text = f"{len(there) - len(missing)} of {len(there)} data sets under {' and '.join(map(str, roots))}"
    if places.root is None:
        text += " (those that the hub has)"
    facts = {"root": str(places.root or places.hub_root), "found": there}
    if missing:
        hint = "`vlcl data list` says where each belongs; a protocol needs only its own."
        yield Finding("data", "warning", f"{text}; missing: {', '.join(missing)}", hint, facts)
    else:
        yield Finding("data", "ok", text, "`vlcl data verify` tells whether they are the right ones.", facts)


def _looked_for(places: Places) -> list[str]:
    from vlcl_bench.data.real.catalogue import catalogue, spec_of

    return [name for name in catalogue() if places.root is not None or spec_of(name).hub is not None]


def backbone_works(name: str, on: str = "auto") -> Iterator[Finding]:
    """Load a backbone, check its canaries, and time it, on a device as ``vlcl run --device`` names it."""
    from vlcl_bench.backbones import canary, load_backbone
    from vlcl_bench.common.places import data_home
    from vlcl_bench.engine.provenance import choose_device

    try:
        device = choose_device(on)
        backbone = load_backbone(name).to(device)
        result = canary.check(backbone, data_home() / "canaries")
    except VlclError as error:
        yield Finding("backbone", "problem", error.message, error.hint, {"backbone": name})
        return
    except RuntimeError as error:  # a device that is full, or at odds with its driver
        yield Finding("backbone", "problem", f"{name} does not run: {error}", "Try another device.", {"backbone": name})
        return
    facts = {"backbone": backbone.name, "weights_sha256": result.weights_sha256, "status": result.status,
             "lowest_cosine": result.lowest, "device": str(device)}  # fmt: skip
    if result.lowest is None:
        text = f"{backbone.name}: nothing to compare its canaries with; written to {result.path}"
        hint = "From now on they are required. If you doubt these weights, delete that file before you use them."
        yield Finding("backbone", "warning", text, hint, facts)
    else:
        origin = "the project's" if result.status == "known" else "those of its first use here"
        text = f"{backbone.name}: canaries equal {origin} (lowest cosine {result.lowest:.6f})"
        yield Finding("backbone", "ok", text, facts=facts)
    speed = pictures_per_second(backbone)
    text = f"{speed:,.0f} pictures a second through {backbone.name} on {device}, without decoding"
    yield Finding("speed", "ok", text, facts={"pictures_per_second": round(speed, 1), "device": str(device)})


def pictures_per_second(backbone: Any) -> float:
    """Pictures per second of the bare forward pass: the quickest of three passes of 32, after one to warm up."""
    import torch

    device = next(backbone.parameters()).device
    side = backbone.image_size
    images = torch.zeros((TIMED_PICTURES, side, side, 3), dtype=torch.uint8, device=device)
    training, seconds = backbone.training, []
    backbone.eval()
    with torch.inference_mode():
        for _ in range(1 + TIMED_PASSES):
            started = time.perf_counter()
            backbone.encode_image(backbone.preprocess(images))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
    backbone.train(training)
    return TIMED_PICTURES / min(seconds[1:])


def existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.isdir(place))


def writable(folder: Path) -> bool:
    """Whether a file can be made in a folder, by making one: permissions alone do not tell of read-only disks."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def gigabytes(count: float) -> str:
    """Bytes for people: GB (10^9), or MB below one."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _processor_has_bf16() -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and bool(re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", info.read_text(errors="replace")))
