"""WiSE-FT: after each task, a step back in weight space (ZSCL, `WiSE_finetune.sh`; Wortsman et al., CVPR 2022)."""

from typing import Any, Literal

from vlcl_bench.methods import Backbone, Context, FineTuneConfig, LossMethod, Task, interpolate_, snapshot


class WiseFT(LossMethod):
    """Fine-tuning, then ``(1 - alpha)`` of the new weights and ``alpha`` of the anchor's, carried on."""

    title = "WiSE-FT"

    class Config(FineTuneConfig):
        """``alpha`` 0.2 to the previous model is what ZSCL's table ran; ``zero_shot`` is the other published anchor."""

        alpha: float = 0.2
        anchor: Literal["previous", "zero_shot"] = "previous"

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone, config)
        if config.anchor == "zero_shot":
            for name, weights in snapshot(self.trainable_parameters()).items():
                self.register_buffer("zero_shot/" + name.replace(".", "/"), weights)

    def start(self, task: Task, ctx: Context) -> None:
        """Take the previous model; before the first task it is zero-shot CLIP."""
        self._previous = snapshot(self.trainable_parameters())

    def finish(self, task: Task, ctx: Context) -> None:
        """Interpolate; training goes on from the result."""
        anchor = self._previous
        if self.config.anchor == "zero_shot":
            anchor = {name: self.get_buffer("zero_shot/" + name.replace(".", "/")) for name in anchor}
        interpolate_(dict(self.trainable_parameters()), anchor, self.config.alpha)
        del self._previous
