"""Zero-shot CLIP: nothing is learned (Radford et al., 2021; "Continual-CLIP", Thengane et al., 2022)."""

from vlcl_bench.methods import Context, Method, Task


class ZeroShot(Method):
    """The backbone as it was pretrained: the anchor of every table."""

    title = "Zero-shot"
    deterministic = True

    def learn(self, task: Task, ctx: Context) -> None:
        """Learn nothing."""
