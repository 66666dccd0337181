"""The start that ``vlcl methods new`` writes: a method that runs as it is."""

from __future__ import annotations

from pathlib import Path

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.errors import UsageError

TEMPLATE = '''"""{title}: say here in one line what it does and where it comes from."""

from vlcl_bench.methods import Batch, Context, FineTuneConfig, LossMethod, Task


class {name}(LossMethod):
    """Fine-tuning plus a term of your own. Settings are given with --set strength=0.5."""

    title = "{title}"

    class Config(FineTuneConfig):
        """Settings with their defaults; they are checked and stored in the record."""

        strength: float = 0.01

    def start(self, task: Task, ctx: Context) -> None:
        """Before a task: take an anchor or a teacher here. The model is still as the last task left it."""

    def loss(self, batch: Batch, logits, ctx: Context):
        """Cross-entropy plus a term: here, one that keeps the logits small."""
        return self.cross_entropy(batch, logits) + self.config.strength * logits.square().mean()

    def finish(self, task: Task, ctx: Context) -> None:
        """After a task: merge weights, or drop what is not kept."""
'''


def write_template(path: Path) -> Path:
    """Write a start for a new method; raises :class:`UsageError` where the file exists or is not a ``.py``."""
    if path.suffix != ".py":
        raise UsageError(f"{path} is not a Python file", f"For instance: vlcl methods new {path.stem or 'mine'}.py")
    if path.exists():
        raise UsageError(f"{path} exists already", "Choose another name, or delete it.")
    words = [word for word in path.stem.replace("-", "_").split("_") if word]
    name = "".join(word[0].upper() + word[1:] for word in words) or "MyMethod"
    if not name.isidentifier():
        name = "MyMethod"
    return write_atomic(path, TEMPLATE.format(name=name, title=" ".join(words) or "my method"))
