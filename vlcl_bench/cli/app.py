"""``vlcl`` with all its commands, a module each; what worlds bring is mounted beside them."""

from __future__ import annotations

import typer

from vlcl_bench.cli import (
    backbones,
    compare,
    conformance,
    data,
    doctor,
    leaderboard,
    methods,
    protocols,
    records,
    regress,
    run,
    submit,
    sweep,
    synthesise,
)
from vlcl_bench.cli.options import EXIT_CODES
from vlcl_bench.data.world import worlds

app = typer.Typer(
    name="vlcl", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Benchmark and leaderboard for continual learning of vision-language models.", epilog=EXIT_CODES,
)  # fmt: skip
MODULES = (
    run, protocols, methods, backbones, conformance, records, leaderboard, data, sweep, compare, regress, submit,
    synthesise, doctor,
)  # fmt: skip
"""In the order in which ``vlcl --help`` lists their commands."""

for module in MODULES:
    module.register(app)
for world in worlds():
    for name, group in world.commands().items():
        app.add_typer(group, name=name)
