"""Continual fine-tuning: the common recipe and nothing else (ZSCL, `finetune.sh`; Zheng et al., ICCV 2023)."""

from vlcl_bench.methods import LossMethod


class FineTune(LossMethod):
    """Cross-entropy on the current task, both encoders, one task after the other."""

    title = "Continual-FT"
