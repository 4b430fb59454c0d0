"""Copies for consumers: what one node does to its input never shows in another."""

from __future__ import annotations

import copy
import sys
from typing import Any

from runway.pipeline.keys.origin import is_local

PLAIN = (type(None), str, int, float, bool, bytes)


def fork(value: Any) -> Any:
    """A copy that can be changed in place without the original noticing.

    Containers are copied all the way down; arrays, tensors and frames are copied; Datasets (immutable rows, mutable
    format) shallowly; an object with ``fork()`` makes its own copy. Other objects of the project's own classes and
    tokenizers are copied deeply, as far as they can be; those of other libraries (a DataLoader, a model) are shared.
    """
    kind = type(value)
    if kind in PLAIN or isinstance(value, type):
        return value
    if kind in (list, tuple, set, frozenset):
        return kind([fork(item) for item in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*[fork(item) for item in value])
    if isinstance(value, dict):
        twin = copy.copy(value)
        for key, item in value.items():
            twin[key] = fork(item)
        return twin
    if callable(getattr(value, "fork", None)):
        return value.fork()
    library = kind.__module__.partition(".")[0]
    if library == "datasets":
        return copy.copy(value)
    if library in ("numpy", "pandas") and hasattr(value, "copy"):
        return value.copy()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, getattr(torch, "Tensor", ())):
        return _fork_tensor(value, torch)
    if library == "collections" or hasattr(value, "save_vocabulary") or _is_own(kind):
        return _deep_copy(value)
    return value


def _fork_tensor(value: Any, torch: Any) -> Any:
    twin = value.detach().clone()
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(twin, requires_grad=value.requires_grad)
    return twin.requires_grad_(value.requires_grad)


def _is_own(kind: type) -> bool:
    """Of the project's classes, and not a model, dataset or loader of torch's: those are large, and shared."""
    libraries = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return is_local(kind.__module__) and not libraries & {"torch", "lightning", "transformers"}


def _deep_copy(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # an open file, a lock: there is one of it
        return value
