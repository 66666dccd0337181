"""The process of a method: builds backbone and method behind an audit hook and serves the harness's calls.

Started by :mod:`vlcl_bench.engine.sandbox.worker_process` with the number of an open socket; nobody types this. All
that happens before the method's file is imported is this project's code. Most of it is imported where it is needed:
the process must first see to it that it ends with the harness.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.engine.learner import InProcessLearner
    from vlcl_bench.engine.sandbox.wire import Message
    from vlcl_bench.engine.sandbox.worker_side import LentStream, Line
    from vlcl_bench.methods.base import Method

Reply = tuple[dict[str, Any], list["np.ndarray"]]
"""A reply's header and arrays."""
REPORT_EVERY = 0.1
"""Seconds between two words on the progress."""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the harness dies (Linux), elsewhere look whether it still lives.

    Where it died before this call, its end of the line is closed, and the first word to it ends this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def error_header(error: BaseException, refused: Sequence[str]) -> dict[str, Any]:
    """What the harness is told of an error; what the audit hook ``refused`` explains more than what came of it."""
    from vlcl_bench.engine.sandbox.search_path import missing_module
    from vlcl_bench.engine.sandbox.worker_side import require_none
    from vlcl_bench.errors import VlclError

    known = error if isinstance(error, VlclError) else None
    if known is None or "it was refused" not in known.message:
        try:
            require_none(refused)
        except VlclError as explanation:
            known = explanation
    kind = type(known).__name__ if known else "MethodError"
    text = known.message if known else f"the method raised {type(error).__name__}: {error}"
    hint = known.hint if known else None
    return {"error": kind, "message": text[:4000], "hint": hint, "missing": missing_module(error)}


class Worker:
    """What the calls of the harness do. A method is built in two steps: described first, then made."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.start: dict[str, Any] = {}
        self.backbone: Backbone
        self.method: type[Method]
        self.settings: Any
        self.learner: InProcessLearner
        self.stream: LentStream
        self.queries: dict[int, Any] = {}
        self._reported = 0.0

    def serve(self) -> None:
        """Answer calls until the harness closes the line."""
        from vlcl_bench.engine.sandbox.audit import attempts
        from vlcl_bench.engine.sandbox.worker_side import HarnessGoneError, require_none

        while True:
            message = self.line.next_call()
            try:
                header, arrays = getattr(self, f"on_{message.header['call']}")(message)
                require_none(attempts())
            except HarnessGoneError:
                raise
            except BaseException as error:
                from vlcl_bench.common.environment import traceback_wanted

                if traceback_wanted():
                    traceback.print_exception(error)
                self.line.send(error_header(error, attempts()))
                continue
            self.line.send({"reply": True, **header}, arrays)

    def on_start(self, message: Message) -> Reply:
        """Load the backbone, then lock the door: from here on the audit hook is in force."""
        import torch

        from vlcl_bench.backbones import load_backbone, weights_sha256
        from vlcl_bench.data.transforms import Augmentation
        from vlcl_bench.engine.provenance import settle_determinism, settle_precision
        from vlcl_bench.engine.sandbox.audit import watch
        from vlcl_bench.engine.sandbox.search_path import also_searched
        from vlcl_bench.engine.sandbox.worker_side import LentStream
        from vlcl_bench.protocols.budget import Budget

        start = self.start = message.header
        torch.set_num_threads(start["threads"])
        device = torch.device(start["device"])
        settle_determinism()
        settle_precision(device)
        with also_searched(start["search"], start["read"]):
            self.backbone = load_backbone(start["backbone"])
        digest, source = weights_sha256(self.backbone), self.backbone.source_sha256
        self.backbone = self.backbone.to(device)
        budget = Budget.model_validate(start["budget"])
        self.stream = LentStream(budget, Augmentation.model_validate(start["augmentation"]))
        os.chdir(start["scratch"])
        os.environ |= start["environment"]
        sys.dont_write_bytecode = True
        watch([Path(place) for place in start["read"]], [start["scratch"]], [Path(place) for place in start["denied"]])
        return {"backbone_sha256": digest, "backbone_source_sha256": source}, []

    def on_describe(self, message: Message) -> Reply:
        """Import the method and say what it is, with its settings."""
        from vlcl_bench.methods.card import MethodCard, make_settings
        from vlcl_bench.methods.registry import load_method

        # Byte code beside the source could be another program than the source whose hash is in the record.
        before, sys.pycache_prefix = sys.pycache_prefix, os.path.join(self.start["scratch"], "no-bytecode")
        try:
            self.method = load_method(message.header["method"])
        finally:
            sys.pycache_prefix = before
        chosen, scale = message.header["settings"], message.header["scale"]
        self.settings = make_settings(self.method, chosen, scale)
        return {"card": MethodCard.of(self.method, chosen, scale).model_dump(mode="json")}, []

    def on_build(self, message: Message) -> Reply:
        """Make the method, as a run in the harness's process does."""
        import torch

        from vlcl_bench.common.seeds import derive_seed
        from vlcl_bench.data.reference import Reference
        from vlcl_bench.engine.footprint import backbone_sizes
        from vlcl_bench.engine.learner import InProcessLearner, guarded, seed_everything
        from vlcl_bench.engine.sandbox.worker_side import LentSynthesis, lent_pictures
        from vlcl_bench.methods.terms import Loans

        header, reference = message.header, None
        described = header["reference"]
        if described is not None:
            pictures = lent_pictures(self.line, "reference", described["pictures"], message.arrays)
            reference = Reference(pictures, tuple(described["texts"]), described["identity"])
        loans = Loans(reference, LentSynthesis(self.line) if header["synthesis"] else None)
        seed_everything(derive_seed(header["seed"], "construct"))
        sizes_before = backbone_sizes(self.backbone)
        with guarded("being made"):
            method = self.method(self.backbone, self.settings)
        device = torch.device(self.start["device"])
        self.learner = InProcessLearner(method, self.stream, header["seed"], device, sizes_before, loans)
        return {}, []

    def on_learn(self, message: Message) -> Reply:
        """Learn a task."""
        import torch

        from vlcl_bench.engine.sandbox.worker_side import lent_pictures
        from vlcl_bench.methods.usage import GENERATED
        from vlcl_bench.tasks import LabelSet, Task

        described, arrays = message.header["task"], list(message.arrays)
        self.queries.clear()
        self.stream.earlier = tuple(
            LabelSet(dataset, tuple(names), template) for dataset, names, template in message.header["earlier"]
        )
        labels = arrays.pop(0)
        captions = described["captions"]
        task = Task(
            index=described["index"],
            name=described["name"],
            class_names=tuple(described["class_names"]),
            templates=tuple(described["templates"]),
            images=lent_pictures(self.line, "task", described["pictures"], arrays),
            labels=labels,
            dataset=described["dataset"],
            captions=None if captions is None else tuple(tuple(texts) for texts in captions),
        )
        report = self.learner.learn(task, self._report)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        counts = report.usage.by_name() | dict.fromkeys(GENERATED, 0)
        return {"counts": counts, "trained": list(report.trained), "log": report.log}, []

    def _report(self, done: int, total: int, word: str) -> None:
        now = time.monotonic()
        if done >= total or now - self._reported >= REPORT_EVERY:
            self._reported = now
            self.line.send({"progress": [done, total, word]})

    def on_score(self, message: Message) -> Reply:
        """Score a batch of pictures; label spaces are sent once and then named by number."""
        from vlcl_bench.tasks import Query

        for number, (dataset, names, prompts) in message.header["new"].items():
            self.queries[int(number)] = Query(dataset, tuple(names), tuple(tuple(texts) for texts in prompts))
        return {}, self.learner.score(message.arrays[0], [self.queries[n] for n in message.header["queries"]])

    def on_save(self, message: Message) -> Reply:
        """The method's state, a digest of what it holds beside it, and its parameters by name."""
        import numpy as np
        import torch

        state = np.frombuffer(self.learner.packed_state(), np.uint8)
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        told = {"parameters": self.learner.parameter_sizes(), "beside": self.learner.beside_state()}
        return {**told, "device_memory": peak}, [state]

    def on_load(self, message: Message) -> Reply:
        """Take up a state."""
        self.queries.clear()
        self.learner.unpack_state(message.arrays[0].tobytes())
        return {}, []


def main() -> None:
    """Serve on the socket whose number is the only argument."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's, which ends this process
    from vlcl_bench.common.streams import settle_streams

    settle_streams()
    # What the method prints must be seen even if the process is ended without warning.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from vlcl_bench.engine.sandbox.worker_side import HarnessGoneError, Line

    try:
        Worker(Line(socket.socket(fileno=int(sys.argv[1])))).serve()
    except HarnessGoneError:
        os._exit(0)


if __name__ == "__main__":
    main()
