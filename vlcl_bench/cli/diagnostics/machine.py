"""What a machine computes with: processor, graphics cards, precision, and versions of what computes."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vlcl_bench.cli.diagnostics.diagnosis import Diagnosis, gigabytes

PACKAGES = ("torch", "torchvision", "open_clip_torch", "datasets", "numpy", "pillow")
LOCK = Path(__file__).parents[3] / "requirements.lock"


def processor() -> Iterator[Diagnosis]:
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
    yield Diagnosis("processor", "ok", text, facts=facts)


def graphics() -> Iterator[Diagnosis]:
    """The CUDA devices and their memory."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(count):
        try:
            properties = torch.cuda.get_device_properties(number)
            free, total = torch.cuda.mem_get_info(number)
        except RuntimeError as error:
            hint = f"Hide it with CUDA_VISIBLE_DEVICES, or use --device cpu: {error}"
            yield Diagnosis("cuda", "problem", f"cuda:{number} does not answer", hint, {"device": f"cuda:{number}"})
            continue
        text = f"cuda:{number} {properties.name}, {gigabytes(free)} of {gigabytes(total)} free"
        facts = {"device": f"cuda:{number}", "name": properties.name, "memory_bytes": total, "free_bytes": free}
        yield Diagnosis("cuda", "ok", text, facts=facts)
    if not count:
        yield Diagnosis(
            "cuda", "warning", "no CUDA device: everything runs on the processor",
            "Enough for the mini protocols. The full ones take days without a GPU; if there is one, install a torch "
            "that is built for its driver.",
            {"device": None},
        )  # fmt: skip


def fences() -> Iterator[Diagnosis]:
    """What this system has to hold a method that is not trusted."""
    from vlcl_bench.engine.sandbox import container, landlock, seccomp
    from vlcl_bench.errors import MachineError

    missing = {"seccomp": seccomp.why_not(), "landlock": "" if landlock.version() else "this kernel has none"}
    try:
        container.require_bwrap()
        missing["container"] = ""
    except MachineError as error:
        missing["container"] = error.message
    facts = {name: not why for name, why in missing.items()}
    text = "; ".join(f"{name}: {why}" if why else name for name, why in missing.items())
    if facts["seccomp"] and facts["landlock"]:
        yield Diagnosis("fences", "ok", text, facts=facts)
    else:
        hint = "Methods of strangers are held less well here: see docs/isolation.md, and read them before you run them."
        yield Diagnosis("fences", "warning", text, hint, facts)


def precision() -> Iterator[Diagnosis]:
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
        yield Diagnosis("precision", "problem", text, hint, facts)
    elif facts["matmul_precision"] != "highest":
        hint = "Matrix products are rounded; protocols are fp32. Remove what calls torch.set_float32_matmul_precision."
        yield Diagnosis("precision", "warning", text, hint, facts)
    elif tf32:
        hint = "Protocols are fp32: `vlcl run` switches TF32 off by itself, other programs here compute with it."
        yield Diagnosis("precision", "warning", text, hint, facts)
    else:
        yield Diagnosis("precision", "ok", text, facts=facts)


def tf32_on() -> list[str]:
    """What a CUDA device would compute in TF32, in words, by torch's settings (its default: convolutions)."""
    import torch

    backends: Any = torch.backends  # its stubs do not know all of it
    settings = {"convolutions": backends.cudnn.conv, "matrix products": backends.cuda.matmul}
    return [what for what, setting in settings.items() if setting.fp32_precision == "tf32"]


def versions() -> Iterator[Diagnosis]:
    """Versions of what computes, compared with ``requirements.lock`` where it lies beside the package."""
    numbers = {"python": platform.python_version()}
    missing = []
    for package in PACKAGES:
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    text = ", ".join(f"{name} {number}" for name, number in numbers.items())
    facts: dict[str, Any] = {"versions": numbers, "missing": missing}
    if missing:
        hint = "Install the package again with its dependencies."
        yield Diagnosis("versions", "problem", f"{text}; missing: {', '.join(missing)}", hint, facts)
        return
    if not LOCK.is_file():
        yield Diagnosis("versions", "ok", f"{text} (no requirements.lock here to compare with)", facts=facts)
        return
    pins = pinned(LOCK.read_text(encoding="utf-8"))
    other = {
        name: sorted(pins[name.replace("_", "-")])
        for name in PACKAGES
        if name.replace("_", "-") in pins and numbers[name].partition("+")[0] not in pins[name.replace("_", "-")]
    }
    facts["other_than_locked"] = other
    if other:
        listed = ", ".join(f"{name} {numbers[name]} (locked: {' or '.join(want)})" for name, want in other.items())
        hint = "Results may differ a little from the committed ones. `pip install -r requirements.lock` gives the same."
        yield Diagnosis("versions", "warning", f"{text}; other than in requirements.lock: {listed}", hint, facts)
    else:
        yield Diagnosis("versions", "ok", f"{text}, as in requirements.lock", facts=facts)


def pinned(lock: str) -> dict[str, set[str]]:
    """Package names (normalised) and the versions that a lock file allows, whatever their markers."""
    pins: dict[str, set[str]] = {}
    for name, number in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        pins.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(number.partition("+")[0])
    return pins


def _processor_has_bf16() -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and bool(re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", info.read_text(errors="replace")))
