"""The interface of a method, and how methods are found."""

from vlcl_bench.methods.base import LossMethod, Method
from vlcl_bench.methods.context import Batch, Context
from vlcl_bench.tasks import Query, Task

__all__ = ["Batch", "Context", "LossMethod", "Method", "Query", "Task"]
