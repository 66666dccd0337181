"""The run's end of a sandbox: starts a method's process, has it described and made, and ends it with the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from vlcl_bench.engine.learner import Learner
from vlcl_bench.engine.prepare import Request
from vlcl_bench.engine.sandbox.container import contained, require_bwrap
from vlcl_bench.engine.sandbox.learner import SandboxedLearner
from vlcl_bench.engine.sandbox.search_path import added_places
from vlcl_bench.engine.sandbox.worker_process import WorkerProcess, package_root
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.methods.terms import Loans
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Identity

CACHES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR",
          "TRITON_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCH_HOME", "HF_HOME")  # fmt: skip
"""Variables that point at folders in which libraries keep things; they are moved to the scratch folder."""


START_SECONDS = 600.0
"""Most seconds in which the process must be up, its libraries imported and the backbone loaded."""


@contextmanager
def supervised(request: Request, device: torch.device) -> Iterator[Supervisor | None]:
    """A process for the request's method, ended when the block is left; ``None`` for a method that lives inline."""
    if request.isolation == "inline":
        yield None
        return
    supervisor = Supervisor(request, device, require_bwrap() if request.isolation == "container" else "")
    try:
        yield supervisor
    finally:
        supervisor.close()


class Supervisor:
    """A method's process, from the first question, what the method is, to the learner that the engine runs.

    ``bwrap`` is the path of bubblewrap where the process lives in a container, else empty.
    """

    def __init__(self, request: Request, device: torch.device, bwrap: str = "") -> None:
        self.request, self.device, self.bwrap = request, device, bwrap
        self.process: WorkerProcess | None = None
        self._backbone = ("", "")

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.close()

    def describe(self, method: MethodRef, protocol: Protocol) -> MethodCard:
        """Start the process, load the backbone in it, and have the method say what it is.

        Raises :class:`UsageError` for settings that it does not have or a method of an installed package, and
        :class:`MethodError` for a file that does not import.
        """
        if method.entry_point is not None:
            raise UsageError(
                f"the method {method.name!r} comes from an installed package, which cannot be kept in a process of its "
                "own",
                "Choose inline for isolation (--isolation), or give the path of the method's file.",
            )
        backbone = self.request.backbone or protocol.backbone
        read, denied = self.readable(method, backbone), hidden_places(method.folder, self.request.store)
        self.process = self.started(backbone, read, denied)
        self.process.seconds = self.request.limits.seconds_at(protocol.scale)
        scratch = self.process.scratch
        start = {
            "call": "start", "backbone": backbone, "device": str(self.device), "threads": torch.get_num_threads(),
            "budget": protocol.budget.model_dump(mode="json"),
            "augmentation": protocol.augmentation.model_dump(mode="json"),
            "scratch": str(scratch), "read": list(map(str, read)), "denied": list(map(str, denied)),
            "environment": {name: str(scratch / "caches" / name.lower()) for name in CACHES},
            "search": added_places(),
        }  # fmt: skip
        # Importing the libraries is no call to the method, and can take long on a busy machine.
        reply = self.process.call(start, doing="starting", seconds=max(START_SECONDS, self.process.seconds))
        self._backbone = (
            str(reply.header.get("backbone_sha256")), str(reply.header.get("backbone_source_sha256"))
        )  # fmt: skip
        header = {
            "call": "describe", "method": method.specification, "settings": self.request.settings,
            "scale": protocol.scale,
        }  # fmt: skip
        return MethodCard.read(self.process.call(header, doing="being imported").header.get("card"))

    def started(self, backbone: str, read: list[Path], denied: list[Path]) -> WorkerProcess:
        """The process, within bubblewrap where the request says so; the backbone's weights are bound into it."""
        if not self.bwrap:
            return WorkerProcess(self.request.limits.memory)
        wrap = partial(contained, read=[*read, *weight_places(backbone)], hidden=denied, bwrap=self.bwrap)
        return WorkerProcess(self.request.limits.memory, lambda command, scratch: wrap(command, scratch))

    def readable(self, method: MethodRef, backbone: str) -> list[Path]:
        """What the method may read beside Python's libraries: this package, the method's code, what the user allows."""
        root = package_root()
        places = [root / "vlcl_bench", root / "baselines", *method_places(method)]
        file = Path(backbone.rpartition(":")[0] if ".py:" in backbone else backbone)
        places += [file] if file.suffix == ".py" else []
        return [place.absolute() for place in (*places, *self.request.limits.read)]

    def learner(self, protocol: Protocol, identity: Identity, sizes_before: Mapping[str, int], loans: Loans) -> Learner:
        """The method, made, as a learner; raises :class:`IntegrityError` where its backbone is not the run's."""
        assert self.process is not None, "described first"
        if self._backbone != (identity.backbone_sha256, identity.backbone_source_sha256):
            raise IntegrityError(
                "the method's process loaded another backbone than the harness: its weights or its file changed",
                "Give the same command again. Where it happens each time, the weights are not the same twice: a file "
                "that draws them at random must take a generator with a fixed seed.",
            )
        learner = SandboxedLearner(self.process, protocol, identity.seed, sizes_before, loans)
        learner.build()
        return learner


def method_places(method: MethodRef) -> list[Path]:
    """A method's own file or folder, which it may read."""
    return [method.folder or method.path, method.path]


def hidden_places(submission: Path | None = None, store: Path | None = None) -> list[Path]:
    """What no method needs, wherever it lies: labels and captions of test pictures, and the pictures themselves.

    Parts of this package, the ``store`` of decoded pictures (by default the user's), manifests of first use, and the
    records of the ``submission`` that the method is of, if it is of one.
    """
    from vlcl_bench.common.places import data_home
    from vlcl_bench.data.store import default_root
    from vlcl_bench.data.world import worlds

    package = package_root() / "vlcl_bench"
    drawn = [place for world in worlds() for place in world.hidden]
    places = [package / "data" / "manifests", *drawn, *sorted((package / "protocols").glob("*.toml"))]
    records = [] if submission is None else [submission / "runs"]
    return [*places, *(place.absolute() for place in (store or default_root(), data_home(), *records))]


def weight_places(backbone: str) -> list[Path]:
    """Where the weights of a backbone may lie, for a container: its file or folder, and caches of models."""
    name = backbone.removeprefix("local-dir:")
    parts = [Path(name).expanduser(), Path(name.partition("/")[2] or ".").expanduser()]
    places = [part.absolute() for part in parts[: 1 if backbone != name else 2] if part.suffix and part.is_file()]
    places += [part.absolute() for part in parts[:1] if part.is_dir()]
    # Beside a checkpoint lies the configuration that says which activation it was trained with.
    places += [path.with_name("open_clip_config.json") for path in places if path.is_file()]
    from huggingface_hub.constants import HF_HUB_CACHE

    return [*places, *sorted(Path(HF_HUB_CACHE).glob("models--*")), Path.home() / ".cache" / "clip"]
