"""The contracts of a method: what a submission's code must keep, one function each.

:mod:`~vlcl_bench.submissions.contracts.checks` lists them, ``vlcl submit check`` examines them, and a test file of
yours can do so through :func:`contract_tests`.
"""

from vlcl_bench.submissions.contracts.parametrisation import ContractTest, contract_tests

__all__ = ["ContractTest", "contract_tests"]
