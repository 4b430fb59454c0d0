"""Old imports and calls in Python files: rewritten where runway means the same by them, told where it does not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from runway.migrate.edits import Edit, Migrated, Remark, apply

SAME = {
    "register_executor": "runway",
    "register_transform_functor": "runway",
    "BaseTransform": "runway",
    "EvalRecorder": "runway",
    "DataPipeline": "runway",
    "RunwayExperiment": "runway",
}
"""What is the same in runway, and where it is imported from."""

CONFIGS = ("DataPipelineConfig", "ModelConfig", "MetaConfig")

OF_EXECUTORS = (
    *("config", "training_config", "optimizer_config", "prepared_data", "use_wandb", "wandb_logger", "tb_logger"),
    *("valid_cnt", "test_cnt", "log_list", "use_dtype", "additional_kwargs", "dp_config"),
    *("train_dataloader_names", "val_dataloader_names", "test_dataloader_names"),
)
OLD_ARGUMENTS = ("eval_pipeline_config", "valid_eval_pipeline_config", "test_eval_pipeline_config", "use_dtype")
STAY = {
    "BaseExecutor": (OF_EXECUTORS, OLD_ARGUMENTS),
    "HFDatasetTransform": (("rename_col_dict", "splits_to_process"), ("rename_col_dict", "splits_to_process")),
    "DataPipeline": (("input_transform_ids",), ()),
    "BaseTransform": ((), ()),
}
"""What keeps a name with the alias package: the attributes, and the arguments, that only that has."""

HOOKS = re.compile(r"on_(validation|test|train)_(epoch_)?(start|end)$")
DATASETS = ("train_dataset", "val_dataset", "test_dataset")
MAIN = '''"""Run one mode of an experiment: `python src/main.py --config C --mode train|test|eval --opts a.b=v …`."""

from runway.cli import main

raise SystemExit(main(mode_form=True))
'''


def migrate_python(source: str) -> Migrated:
    """The new text of a Python file, and remarks on what is left to do.

    Raises:
        SyntaxError: it is no Python of today.
    """
    if "runway_for_ml" in source and "config_system" in source and "__main__" in source:
        own = sorted(set(re.findall(r"add_argument\(\s*['\"](--\w+)", source)))
        hint = f"its own arguments {', '.join(own)} are gone: give them as overrides" if own else "it is runway's now"
        return Migrated(MAIN, [Remark(1, f"main.py: {hint}")])
    tree = ast.parse(source)
    file = _File(source, tree)
    edits = [*file.imports(), *file.calls()]
    return Migrated(apply(source, edits), sorted(file.remarks))


class _File:
    def __init__(self, source: str, tree: ast.Module) -> None:
        self.source = source
        self.tree = tree
        self.remarks: list[Remark] = []
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._texts = source.splitlines()
        self.attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        self.words = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        self.words |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
        froms = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        self.imported = {name.name for node in froms for name in node.names}
        self.by_registry = "register_to" in source and "DataTransform_Registry" in source

    def at(self, line: int, column: int) -> int:
        """The place of ast's line and column, which it counts in bytes."""
        return self._lines[line - 1] + len(self._texts[line - 1].encode()[:column].decode())

    def place(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends."""
        where: ast.expr = node  # type: ignore[assignment]
        return self.at(where.lineno, where.col_offset), self.at(where.end_lineno or 0, where.end_col_offset or 0)

    def tell(self, node: ast.AST, text: str) -> None:
        """A remark on a node's line."""
        self.remarks.append(Remark(getattr(node, "lineno", 1), text))

    def imports(self) -> Iterator[Edit]:
        """New import statements."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                top = node.module.partition(".")[0]
                if top == "runway_for_ml":
                    yield Edit(*self.place(node), self._import(node))
                elif top == "datasets" and any(name.name == "load_metric" for name in node.names):
                    yield self._moved(node, "load_metric", "runway")
                elif top == "transformers" and any(name.name == "AdamW" for name in node.names):
                    yield self._moved(node, "AdamW", "torch.optim")
            elif isinstance(node, ast.Import) and any(name.name.startswith("runway_for_ml") for name in node.names):
                self.tell(node, "imports a module of runway_for_ml by its name: left to the alias package")

    def _import(self, node: ast.ImportFrom) -> str:
        indent = " " * node.col_offset
        homes: dict[str, list[str]] = {}
        for name in node.names:
            told = f"{name.name} as {name.asname}" if name.asname else name.name
            if name.name in ("register_to", "DataTransform_Registry") and self._only_decorates():
                if name.name == "register_to" and "register_transform_functor" not in self.imported:
                    homes.setdefault("runway", []).append("register_transform_functor")
            elif name.name in CONFIGS:
                homes.setdefault("runway", []).append(f"Config as {name.asname or name.name}")
            elif name.name in SAME and not self._stays(node, name.name):
                homes.setdefault(SAME[name.name], []).append(told)
            elif name.name in ("HFDatasetTransform", "BaseExecutor") and not self._stays(node, name.name):
                homes.setdefault("runway", []).append(told)
            else:
                if name.name not in (*SAME, *STAY):
                    self.tell(node, f"{name.name} stays with the alias package")
                homes.setdefault(str(node.module), []).append(told)
        return f"\n{indent}".join(f"from {home} import {', '.join(names)}" for home, names in sorted(homes.items()))

    def _only_decorates(self) -> bool:
        uses = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and node.id == "register_to"]
        return self.by_registry and len(uses) == len(list(self._registrations()))

    def _registrations(self) -> Iterator[ast.Call]:
        for node in ast.walk(self.tree):
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and ast.unparse(call) == "register_to(DataTransform_Registry)":
                    yield call

    def _stays(self, node: ast.AST, name: str) -> bool:
        attributes, arguments = STAY.get(name, ((), ()))
        used = sorted({*(self.attributes & set(attributes)), *(self.words & set(arguments))})
        if used:
            self.tell(node, f"{name} stays with the alias package, for {', '.join(used)}")
        return bool(used)

    def _moved(self, node: ast.ImportFrom, name: str, home: str) -> Edit:
        rest = [ast.unparse(one) for one in node.names if one.name != name]
        lines = [f"from {node.module} import {', '.join(rest)}"] if rest else []
        moved = next(ast.unparse(one) for one in node.names if one.name == name)
        return Edit(*self.place(node), f"\n{' ' * node.col_offset}".join([*lines, f"from {home} import {moved}"]))

    def calls(self) -> Iterator[Edit]:
        """New calls; and what is told of."""
        if self._only_decorates():
            for call in self._registrations():
                yield Edit(*self.place(call), "register_transform_functor")
        needs_runway = False
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                self._tell_class(node)
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            if ast.unparse(function) == "evaluate.load":
                needs_runway = True
                yield Edit(*self.place(function), "runway.load_metric")
            elif isinstance(function, ast.Attribute) and function.attr == "batch_encode_plus":
                yield Edit(self.place(function.value)[1], self.place(function)[1], "")
            elif isinstance(function, ast.Attribute) and function.attr in ("get_sample_logs", "get_stats_logs"):
                for value in (*node.args, *(word.value for word in node.keywords)):
                    if isinstance(value, ast.Constant) and value.value == "csv":
                        self.tell(node, "the data frame has no column 'index' any more: its own index counts the rows")
                        yield Edit(*self.place(value), "'pandas'")
            elif isinstance(function, ast.Attribute) and function.attr in ("keep_top_n", "copy_data_from"):
                self.tell(node, f"runway's recorder has no {function.attr}: take select_rows(range(n)), or fork()")
            elif isinstance(function, ast.Name) and function.id == "input":
                self.tell(node, "input() waits for a person: use breakpoint(), or --break-at NODE")
        if needs_runway and not re.search(r"^import runway$", self.source, re.MULTILINE):
            imports = [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            first = next((node for node in imports if getattr(node, "module", "") != "__future__"), None)
            at = self.place(first)[0] if first is not None else 0
            yield Edit(at, at, "import runway\n")

    def _tell_class(self, node: ast.ClassDef) -> None:
        for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
            body = "\n".join(ast.unparse(line) for line in method.body)
            if HOOKS.match(method.name) and "super()" not in body:
                self.tell(method, f"{node.name}.{method.name} does not call super(): runway's recorder needs none")
            for name in DATASETS:
                if re.search(rf"self\.{name} = ", body):
                    self.tell(method, f"{node.name}.{method.name} sets self.{name}: loaders are made of it")
