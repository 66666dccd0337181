"""The process of a method: builds backbone and method behind an audit hook and serves the harness's calls.

Started by :mod:`vlcl_bench.engine.sandbox.worker_process` with the number of an open socket; nobody types this. All
that happens before the method's file is imported is the project's own code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.engine.learner import InProcessLearner
    from vlcl_bench.engine.sandbox.wire import Message
    from vlcl_bench.engine.sandbox.worker_side import Line, TaskRules
    from vlcl_bench.methods.base import Method

TELL_EVERY = 0.1
"""Seconds between two words on the progress."""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the harness dies (Linux), and look whether it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


class Worker:
    """What the calls of the harness do. A method is built in two steps: described first, then made."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.start: dict[str, Any] = {}
        self.backbone: Backbone
        self.method: type[Method]
        self.settings: Any
        self.learner: InProcessLearner
        self.rules: TaskRules
        self.queries: dict[int, Any] = {}
        self._told = 0.0

    def serve(self) -> None:
        """Answer calls until the harness closes the line."""
        from vlcl_bench.engine.sandbox.audit import attempts
        from vlcl_bench.engine.sandbox.worker_side import HarnessGoneError, require_only
        from vlcl_bench.errors import VlclError

        while True:
            message = self.line.next_call()
            try:
                header, arrays = getattr(self, f"on_{message.header['call']}")(message)
                require_only(attempts())
            except HarnessGoneError:
                raise
            except BaseException as error:
                known = error if isinstance(error, VlclError) else None
                if os.environ.get("VLCL_TRACEBACK"):
                    import traceback

                    traceback.print_exception(error)
                refused = attempts()
                if refused and not (known and "it was refused" in known.message):
                    try:
                        require_only(refused)
                    except VlclError as better:
                        known = better
                kind = type(known).__name__ if known else "MethodError"
                text = known.message if known else f"the method raised {type(error).__name__}: {error}"
                self.line.send({"error": kind, "message": text[:4000], "hint": known.hint if known else None})
                continue
            self.line.send({"reply": True, **header}, arrays)

    def on_start(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Load the backbone, then lock the door: from here on the audit hook is in force."""
        import torch

        from vlcl_bench.backbones import load_backbone, weights_sha256
        from vlcl_bench.data.transforms import Augmentation
        from vlcl_bench.engine.provenance import settle_determinism, settle_precision
        from vlcl_bench.engine.sandbox.audit import watch
        from vlcl_bench.engine.sandbox.worker_side import TaskRules
        from vlcl_bench.protocols.budget import Budget

        start = self.start = message.header
        torch.set_num_threads(start["threads"])
        device = torch.device(start["device"])
        settle_determinism()
        settle_precision(device)
        self.backbone = load_backbone(start["backbone"])
        digest = weights_sha256(self.backbone)
        self.backbone = self.backbone.to(device)
        budget, augmentation = (
            Budget.model_validate(start["budget"]),
            Augmentation.model_validate(start["augmentation"]),
        )
        self.rules = TaskRules(budget, augmentation)
        os.chdir(start["scratch"])
        os.environ |= start["environment"]
        sys.dont_write_bytecode = True
        watch([Path(place) for place in start["read"]], [start["scratch"]], [Path(place) for place in start["denied"]])
        return {"backbone_sha256": digest}, []

    def on_describe(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
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

    def on_build(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Make the method, as a run in the harness's process does."""
        import torch

        from vlcl_bench.common.seeds import derive_seed
        from vlcl_bench.data.reference import Reference
        from vlcl_bench.engine.footprint import backbone_sizes
        from vlcl_bench.engine.learner import InProcessLearner, guarded, seed_everything
        from vlcl_bench.engine.sandbox.worker_side import LentSynthesis, lent_pictures

        told, reference, synthesis = message.header, None, None
        if told["reference"] is not None:
            lent = told["reference"]
            pictures = lent_pictures(self.line, "reference", lent["pictures"], message.arrays)
            reference = Reference(pictures, tuple(lent["texts"]), lent["identity"])
        if told["synthesis"]:
            synthesis = LentSynthesis(self.line)
        seed_everything(derive_seed(told["seed"], "construct"))
        pristine = backbone_sizes(self.backbone)
        with guarded("being made"):
            method = self.method(self.backbone, self.settings)
        device = torch.device(self.start["device"])
        self.learner = InProcessLearner(
            method, self.rules, told["seed"], device, pristine, reference, synthesis,  # type: ignore[arg-type]
        )  # fmt: skip
        return {}, []

    def on_learn(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Learn a task."""
        import torch

        from vlcl_bench.engine.sandbox.worker_side import lent_pictures
        from vlcl_bench.tasks import LabelSet, Task

        told, arrays = message.header["task"], list(message.arrays)
        self.queries.clear()
        self.rules.earlier = tuple(
            LabelSet(name, tuple(names), template) for name, names, template in message.header["earlier"]
        )
        labels = arrays.pop(0)
        captions = None if told["captions"] is None else tuple(tuple(own) for own in told["captions"])
        images = lent_pictures(self.line, "task", told["pictures"], arrays)
        task = Task(
            told["index"], told["name"], tuple(told["class_names"]), tuple(told["templates"]), images, labels,
            told["dataset"], captions,
        )  # fmt: skip
        report = self.learner.learn(task, self._tell)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        counts = report.counts | {"made_pictures": 0, "generated_pictures": 0, "blank_pictures": 0}
        return {"counts": counts, "trained": list(report.trained), "log": report.log}, []

    def _tell(self, done: int, total: int, word: str) -> None:
        now = time.monotonic()
        if done >= total or now - self._told >= TELL_EVERY:
            self._told = now
            self.line.send({"progress": [done, total, word]})

    def on_score(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Score a batch of pictures; label spaces are sent once and then named by number."""
        from vlcl_bench.tasks import Query

        for number, (task, names, prompts) in message.header["new"].items():
            self.queries[int(number)] = Query(task, tuple(names), tuple(tuple(own) for own in prompts))
        return {}, self.learner.score(message.arrays[0], [self.queries[n] for n in message.header["queries"]])

    def on_save(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The method's state, and its parameters by name."""
        import numpy as np
        import torch

        state = np.frombuffer(self.learner.packed_state(), np.uint8)
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        return {"parameters": self.learner.parameter_sizes(), "device_memory": peak}, [state]

    def on_load(self, message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Take up a state."""
        self.queries.clear()
        self.learner.unpack_state(message.arrays[0].tobytes())
        return {}, []


def main() -> None:
    """Serve on the socket whose number is the only argument."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's, which ends this process
    # What the method prints must be seen even if the process is ended without warning.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from vlcl_bench.engine.sandbox.worker_side import HarnessGoneError, Line

    try:
        Worker(Line(socket.socket(fileno=int(sys.argv[1])))).serve()
    except HarnessGoneError:
        os._exit(0)


if __name__ == "__main__":
    main()
