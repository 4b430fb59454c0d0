"""Which keyword arguments Lightning's classes take, without the four seconds of importing Lightning."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

PACKAGES = (("lightning", "pytorch"), ("pytorch_lightning", "."))


@functools.cache
def arguments_of(class_name: str, module: str) -> dict[str, str]:
    """{keyword argument: its annotation} of ``class_name.__init__``; empty where they cannot be found out.

    The signature is cut out of the source's text and parsed by itself; it is never run.

    Args:
        class_name: e.g. Trainer.
        module: its file below the package, e.g. trainer/trainer.py.
    """
    for package, inner in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder, inner, module)
            if path.is_file():
                return _arguments_in(path.read_text(encoding="utf-8"), class_name)
    return {}


def _arguments_in(source: str, class_name: str) -> dict[str, str]:
    import ast

    signature = re.search(
        rf"^class {class_name}\b.*?^    def __init__(\(.*?\)(?: -> [^\n]*?)?:)\n", source, re.MULTILINE | re.DOTALL
    )
    if signature is None:
        return {}
    try:
        function = ast.parse(f"def __init__{signature[1]} ...").body[0]
    except SyntaxError:  # written in a way that this does not foresee: then nothing is checked
        return {}
    assert isinstance(function, ast.FunctionDef)
    if function.args.kwarg:  # then every name fits
        return {}
    listed = [*function.args.args, *function.args.kwonlyargs]
    return {one.arg: ast.unparse(one.annotation) if one.annotation else "" for one in listed if one.arg != "self"}
