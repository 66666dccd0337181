"""Benchmarks of the harness itself: ``make benchmarks`` or ``python -m vlcl_bench.benchmarks``.

Each figure is measured in a process of its own, as a user would meet it, and printed beside its target. Nothing
here is a test: speed depends on the machine, and a slow machine is not a fault.
"""
