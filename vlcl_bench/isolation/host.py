"""Where a run's method lives: starts its process, has it described and made, and ends it with the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vlcl_bench.errors import IntegrityError
from vlcl_bench.isolation.supervise import Supervised, package_root

if TYPE_CHECKING:
    import torch

    from vlcl_bench.engine.player import Player
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.isolation.described import Located
    from vlcl_bench.methods.reference import Reference
    from vlcl_bench.methods.registry import LoadedMethod
    from vlcl_bench.protocols import Protocol
    from vlcl_bench.records import Identity
    from vlcl_bench.synthesis.lent import Synthesis

CACHES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR",
          "TRITON_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCH_HOME", "HF_HOME")  # fmt: skip
"""Variables that point at folders in which libraries keep things; they are moved to the scratch folder."""


START_SECONDS = 600.0
"""Most seconds in which the process must be up, its libraries imported and the backbone loaded."""


@contextmanager
def hosted(request: Request, device: torch.device) -> Iterator[Host | None]:
    """A process for the request's method, ended when the block is left; nothing for a method that lives inline."""
    if request.isolation == "inline":
        yield None
        return
    from vlcl_bench.isolation.described import locate

    located, bwrap = locate(request.method), ""
    if request.isolation == "container":
        from vlcl_bench.isolation.container import require_bwrap

        bwrap = require_bwrap()
    host = Host(request, located, device, bwrap)
    try:
        yield host
    finally:
        host.close()


class Host:
    """A method's process from the first question, what it is, to the player that the engine plays with."""

    def __init__(self, request: Request, located: Located, device: torch.device, bwrap: str = "") -> None:
        self.request, self.located, self.device, self.bwrap = request, located, device, bwrap
        self.process: Supervised | None = None
        self._backbone_sha256 = ""

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.close()

    def describe(self, protocol: Protocol) -> tuple[LoadedMethod, Any]:
        """Start the process, load the backbone in it, and have the method say what it is.

        Raises :class:`UsageError` for settings that it does not have and :class:`MethodError` for a file that does not
        import.
        """
        import torch

        from vlcl_bench.isolation.described import DescribedMethod
        from vlcl_bench.methods.registry import LoadedMethod

        backbone = self.request.backbone or protocol.backbone
        read, denied = self.readable(backbone), hidden_places()
        if self.bwrap:
            from vlcl_bench.isolation.container import contained

            wrap = partial(contained, read=[*read, *weight_places(backbone)], hidden=denied, bwrap=self.bwrap)
            self.process = Supervised(self.request.limits.memory, lambda command, scratch: wrap(command, scratch))
        else:
            self.process = Supervised(self.request.limits.memory)
        self.process.seconds = self.request.limits.seconds_at(protocol.scale)
        scratch = self.process.scratch
        start = {
            "call": "start", "backbone": backbone, "device": str(self.device), "threads": torch.get_num_threads(),
            "budget": protocol.budget.model_dump(mode="json"),
            "augmentation": protocol.augmentation.model_dump(mode="json"),
            "scratch": str(scratch), "read": list(map(str, read)), "denied": list(map(str, denied)),
            "environment": {name: str(scratch / "caches" / name.lower()) for name in CACHES},
        }  # fmt: skip
        # Importing the libraries is no call to the method, and can take long on a busy machine.
        reply = self.process.call(start, doing="starting", seconds=max(START_SECONDS, self.process.seconds))
        self._backbone_sha256 = str(reply.header.get("backbone_sha256"))
        header = {
            "call": "describe", "method": self.located.specification, "settings": self.request.settings,
            "scale": protocol.scale,
        }  # fmt: skip
        told = self.process.call(header, doing="being imported").header
        method = DescribedMethod(told)
        digest = self.located.source_sha256
        return LoadedMethod(self.located.name, cast(Any, method), digest), method.settings

    def readable(self, backbone: str) -> list[Path]:
        """What the method may read beside Python's libraries: this package, its own code, what the user allows."""
        root, own = package_root(), self.located
        found = [root / "vlcl_bench", root / "baselines", own.folder or own.path, own.path]
        file = Path(backbone.rpartition(":")[0] if ".py:" in backbone else backbone)
        found += [file.absolute()] if file.suffix == ".py" else []
        return [place.absolute() for place in (*found, *self.request.limits.read)]

    def player(
        self,
        protocol: Protocol,
        identity: Identity,
        pristine: Mapping[str, int],
        reference: Reference | None,
        synthesis: Synthesis | None,
    ) -> Player:
        """The method, made, as a player; raises :class:`IntegrityError` where its backbone is not the run's."""
        from vlcl_bench.isolation.player import ProcessPlayer

        assert self.process is not None, "described first"
        if self._backbone_sha256 != identity.backbone_sha256:
            raise IntegrityError(
                "the method's process loaded other weights than the harness: the backbone changed meanwhile",
                "Give the same command again.",
            )
        made = ProcessPlayer(self.process, protocol, identity.seed, pristine, reference, synthesis)
        made.build()
        return made


def hidden_places() -> list[Path]:
    """Parts of this package that no method needs: labels and captions of test pictures, and what draws them."""
    package = package_root() / "vlcl_bench"
    return [package / "manifests", package / "world", *sorted((package / "protocols").glob("*.toml"))]


def weight_places(backbone: str) -> list[Path]:
    """Where the weights of a backbone may lie, for a container: its file or folder, and caches of models."""
    name = backbone.removeprefix("local-dir:")
    parts = [Path(name).expanduser(), Path(name.partition("/")[2] or ".").expanduser()]
    found = [part.absolute() for part in parts[: 1 if backbone != name else 2] if part.suffix and part.is_file()]
    found += [part.absolute() for part in parts[:1] if part.is_dir()]
    # Beside a checkpoint lies the configuration that says which activation it was trained with.
    found += [path.with_name("open_clip_config.json") for path in found if path.is_file()]
    from huggingface_hub.constants import HF_HUB_CACHE

    return [*found, *sorted(Path(HF_HUB_CACHE).glob("models--*")), Path.home() / ".cache" / "clip"]
