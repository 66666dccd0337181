"""What a method holds beside its state: attributes, class attributes, globals of its files, as one digest.

A method is to keep all that a later task needs in its ``state_dict``. One that does not must not be taken for unchanged
only because its state is, so this looks at everything else that its answers can depend on within the process. What it
cannot read for sure makes the answer "not known", and what is not known is never taken for equal. The digest depends on
no address and no order of sets, so that it is the same in another process.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import random
import re
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.methods.base import Method

OF_THE_HARNESS = {"_text_version", "_texts", "_queries", "is_learning", "training"}
"""Attributes of every method that the harness sets before it asks, or that follow from the state."""
TREE = {"_parameters", "_buffers", "_modules", "training"}
METHODS = ("baselines", "vlcl_method_")
"""How the names of modules begin that belong to methods."""
MOST_BYTES = 1 << 30
MOST_VALUES = 200_000
"""Beyond these it is quicker to ask the method again than to look."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, PurePath, torch.dtype, torch.device, np.generic, np.dtype)
DESCRIBED = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.GenericAlias,
             types.MemberDescriptorType, types.GetSetDescriptorType, types.UnionType)  # fmt: skip


class _UnknownError(Exception):
    """Something that cannot be read for sure."""


def beside_digest(method: Method) -> str | None:
    """Hexadecimal SHA-256 of what a method holds beside its state; ``None`` where something in it cannot be read.

    Of the backbone, and of what the libraries have in it (a tokenizer with its cache), only plain values count.
    """
    reader = _Reader(method)
    try:
        reader.read_method(method)
    except (_UnknownError, RecursionError):
        return None
    except Exception:  # a method's own objects may raise anything when they are looked at
        return None
    return reader.digest.hexdigest()


class _Reader:
    """Walks what hangs on a method and puts it into one digest; every object is read once and then named by number."""

    def __init__(self, method: Method) -> None:
        self.digest = hashlib.sha256()
        self.kept = {id(tensor) for tensor in method.state_dict(keep_vars=True).values()}
        self.own = {cls.__module__.partition(".")[0] for cls in type(method).__mro__} - {"vlcl_bench", "torch", "abc"}
        self._met: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no number of an object is given twice
        self._bytes = 0

    def read_method(self, method: Method) -> None:
        """Everything: the tree of modules, then classes and globals of the method's files."""
        self._tree(method)
        for cls in type(method).__mro__:
            if self._is_own(cls.__module__):
                self._value(cls)
                self._file(cls.__module__)

    def _is_own(self, module: str | None) -> bool:
        """Whether a module is the method's, or one beside it that is no library's: its values may change."""
        top = (module or "").partition(".")[0]
        if top in self.own - {"builtins", "typing"} or top.startswith(METHODS):
            return True
        return top != "vlcl_bench" and not _is_library(module or "builtins")

    def _put(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._bytes += len(data)
            self.digest.update(len(data).to_bytes(8, "little") + data)
        if self._bytes > MOST_BYTES:
            raise _UnknownError

    def _tree(self, module: nn.Module, within_backbone: bool = False) -> None:
        self._met[id(module)] = len(self._met)
        inside = within_backbone or isinstance(module, Backbone)
        self._put("module", type(module).__qualname__)
        if isinstance(module, Backbone) and module.source_sha256:  # a file of the user's own
            self._value(type(module))
        for name, value in vars(module).items():
            if name not in TREE and not (isinstance(module, Method) and name in OF_THE_HARNESS):
                self._put(name)
                self._value(value, inside)
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            self._put(name)
            self._value(tensor)
        for name, child in module._modules.items():
            self._put(name)
            if child is None or id(child) in self._met:
                self._put("met", self._met.get(id(child)))
            else:
                self._tree(child, inside)

    def _file(self, name: str) -> None:
        """The globals of a method's file."""
        module = sys.modules.get(name)
        if module is None or id(module) in self._met:
            return
        self._met[id(module)] = len(self._met)
        for key, value in list(vars(module).items()):
            if not key.startswith("__"):
                self._put(key)
                self._value(value)

    def _value(self, value: Any, inside: bool = False) -> None:
        """Put in a value; ``inside`` the backbone an object of a kind that is not known counts by its kind only."""
        if isinstance(value, PLAIN):
            self._put(type(value).__qualname__, repr(value))
            if getattr(value, "__dict__", None) and not isinstance(value, PurePath):
                self._value(dict(vars(value)))  # a word or number of a class of its own, with attributes
            return
        if id(value) in self._met:
            self._put("met", self._met[id(value)])
            return
        self._met[id(value)] = len(self._met)
        self._alive.append(value)
        if len(self._met) > MOST_VALUES:
            raise _UnknownError
        self._put(type(value).__qualname__)
        if not (self._array(value) or self._collection(value, inside) or self._code(value) or self._object(value)):
            if not inside:
                raise _UnknownError
            self._put("inside the backbone")

    def _array(self, value: Any) -> bool:
        """Tensors, arrays and random generators."""
        if isinstance(value, torch.Tensor):
            if id(value) in self.kept:
                self._put("in the state")
            else:
                self._array(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
                self._put(value.dtype, tuple(value.shape))
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._put(value.dtype.str, value.shape, value.tobytes())
        elif isinstance(value, np.random.Generator):
            self._put(repr(value.bit_generator.state))
        elif isinstance(value, np.random.RandomState):
            self._all([value.get_state(legacy=False)], False)
        elif isinstance(value, torch.Generator):
            self._put(value.get_state().numpy().tobytes())
        elif isinstance(value, random.Random):
            self._put(repr(value.getstate()))
        else:
            return False
        return True

    def _collection(self, value: Any, inside: bool) -> bool:
        if isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections", "types"):
            self._all((part for pair in value.items() for part in pair), inside)
        elif type(value) in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):
            self._all(value, inside)
        elif isinstance(value, (set, frozenset)):
            if not all(isinstance(item, PLAIN) for item in value):
                raise _UnknownError
            self._put(*sorted(repr(item) for item in value))
        else:
            return False
        return True

    def _all(self, values: Iterable[Any], inside: bool) -> None:
        for value in list(values):
            self._value(value, inside)

    def _code(self, value: Any) -> bool:
        """Functions, classes and modules: those of the method's own files are looked into, others have a name."""
        if isinstance(value, types.ModuleType):
            self._put(value.__name__)
            if self._is_own(value.__name__):
                self._met.pop(id(value))
                self._file(value.__name__)
        elif isinstance(value, types.MethodType):
            self._all([value.__func__, value.__self__], False)
        elif isinstance(value, functools.partial):
            self._all([value.func, value.args, value.keywords], False)
        elif isinstance(value, (property, staticmethod, classmethod)):
            parts = (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value.__func__,)
            self._all(parts, False)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, DESCRIBED):
            self._put(getattr(value, "__qualname__", repr(value)))
            held = getattr(value, "__self__", None)
            if held is not None and not isinstance(held, types.ModuleType | type):
                self._value(held)  # a method of a built-in object: what it gives is in the object
        elif type(value).__module__ in ("typing", "__future__") or isinstance(value, re.Pattern):
            self._put(repr(value))
        else:
            return False
        return True

    def _function(self, value: types.FunctionType) -> None:
        self._put(value.__module__, value.__qualname__)
        if not self._is_own(value.__module__):
            return
        self._instructions(value.__code__)
        self._file(value.__module__)
        cells = [cell.cell_contents for cell in value.__closure__ or () if not _is_empty(cell)]
        self._all([value.__defaults__, value.__kwdefaults__, vars(value), cells], False)

    def _instructions(self, code: types.CodeType) -> None:
        """What a function does: its instructions, and the names and constants in them."""
        self._put(code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._instructions(constant)
            elif isinstance(constant, frozenset):
                self._put(*sorted(repr(item) for item in constant))
            else:
                self._put(repr(constant))

    def _class(self, value: type) -> None:
        self._put(value.__module__, value.__qualname__)
        if self._is_own(value.__module__):
            self._file(value.__module__)
            for name, part in list(vars(value).items()):
                if not name.startswith("__") and name != "_abc_impl":
                    self._put(name)
                    self._value(part)

    def _object(self, value: Any) -> bool:
        """Objects that are nothing but their attributes: of the method's own classes, settings, the harness's words."""
        if isinstance(value, enum.Enum):
            self._put(value.name)
        elif isinstance(value, nn.Module):
            self._met.pop(id(value))
            self._tree(value, isinstance(value, Backbone))
        elif isinstance(value, BaseModel) or type(value).__module__ == "torch.autograd.grad_mode":
            self._value(dict(vars(value)))
        elif self._is_own(type(value).__module__) or type(value).__module__.startswith("vlcl_bench."):
            if type(value).__basicsize__ != _PlainObject.__basicsize__ or not hasattr(value, "__dict__"):
                raise _UnknownError  # it has slots, or contents of its own beside its attributes
            self._value(dict(vars(value)))
        else:
            return False
        return True


@functools.cache
def _is_library(name: str) -> bool:
    """Whether a module belongs to Python or to an installed package, whose insides are not looked at."""
    module = sys.modules.get(name) or sys.modules.get(name.partition(".")[0])
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if name == "__main__":
        return False
    if place is None:
        return True  # built in, or frozen
    path = PurePath(place)
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    return any(path.is_relative_to(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib"))


class _PlainObject:
    """The size of an object that has attributes and nothing else."""


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (an empty cell raises)
    except ValueError:
        return True
    return False
