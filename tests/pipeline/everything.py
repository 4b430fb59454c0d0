"""A project whose node B uses one of every way in which Python code reaches other code, for the cache matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pipeline.cached import Cached

if TYPE_CHECKING:
    from tests.conftest import Project

OPERATIONS = '''
"""The nodes A -> B -> C."""

import functools
import json
from pathlib import Path

import spare
from runway import BaseTransform, register_transform_functor

import text
from data_ops import shapes
from data_ops.bases import Scaled, Shouting
from data_ops.tools import pick  # the package's __init__ hands it on
from flags import choose, WIDTH as WIDE, settings, Level, LEVEL, order, shout, plus, minus, table, later, prefix
from text import clean, rename_me as renamed
from tracing import note


def local_helper(value):
    return value + 1


@register_transform_functor
class MakeNumbers(BaseTransform):
    """A: the source."""

    def setup(self, n=1, _num_proc=1, extra=None):
        self.n = n

    def _call(self, data):
        output = [self.n, self.n + 1]
        return note(self, output)


@register_transform_functor
class UseEverything(Shouting, Scaled, BaseTransform):
    """B: one entry for each way of reaching code."""

    STEP = 5

    def setup(self, m=1):
        self.m = m

    def own(self):
        return 1

    @functools.lru_cache(maxsize=None)
    def remembered(self):
        return 1

    @staticmethod
    def static(x=WIDE):
        return x

    def _call(self, data):
        import inside as hidden
        from inside import value as hidden_value

        text_names = [text for text in "ab"]
        match data:
            case [shapes.FIRST, *rest]:
                matched = "first"
            case _:
                matched = "other"
        output = {
            "argument": self.m,
            "input": data,
            "body": 1,
            "own method": self.own(),
            "lru_cache method": self.remembered(),
            "default from a constant": self.static(),
            "class attribute": self.STEP,
            "local helper": local_helper(0),
            "helper": clean(" x "),
            "renamed helper": renamed(),
            "module attribute": text.TABLE["a"],
            "module chain": shapes.area(1),
            "after a comprehension that shadows": text.after(),
            "re-export": pick([1, 2]),
            "base class": self.scaled(1),
            "mixin": self.shouted("x"),
            "in-function import": hidden.value() + hidden_value(),
            "match": matched,
            "conditional def": choose(),
            "dataclass": settings.size,
            "dataclass method": settings.double(),
            "enum": [Level.LOW.value, LEVEL.name, LEVEL.rank()],
            "dict order": list(order),
            "instance": shout("x"),
            "closures": [plus(1), minus(1)],
            "lambdas": [table["one"](1), table["two"](1)],
            "partial": later(1),
            "bound method": prefix("x"),
        }
        return note(self, output)


@register_transform_functor
class Finish(BaseTransform):
    """C: what reads B."""

    def _call(self, data):
        return note(self, data)


@register_transform_functor
class Unrelated(BaseTransform):
    def _call(self, data):
        return 1
'''

MODULES = {
    "src/data_ops/chain.py": OPERATIONS,
    "src/data_ops/bases.py": """
        FACTOR = 3


        class Root:
            def scaled(self, x):
                return x * FACTOR


        class Scaled(Root):
            pass


        class Quiet:
            def shouted(self, word):
                return word


        class Shouting(Quiet):
            def shouted(self, word):
                return super().shouted(word) + "!"
        """,
    "src/data_ops/shapes.py": """
        import math

        FIRST = 1


        def area(x):
            return x + SIDE


        SIDE = 2
        """,
    "src/data_ops/tools/__init__.py": """
        from .picking import pick
        """,
    "src/data_ops/tools/picking.py": """
        from ..shapes import SIDE


        def pick(items):
            return items[0] + SIDE
        """,
    "src/text.py": '''
        """Cleaning of text."""

        from deeper import strip
        from decorators import plain, traced, twice

        TABLE = {"a": 1}


        @traced
        def clean(word):
            """Clean it."""
            # a comment
            return strip(word) + "."


        def rename_me():
            return 1


        @plain
        @twice
        def after():
            return 1


        def unrelated():
            return 1
        ''',
    "src/decorators.py": """
        import functools


        def traced(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args) + EXTRA

            return wrapper


        EXTRA = ""


        def twice(function):
            return lambda: 2 * function()


        def plain(function):
            def inner():
                return function()

            return inner
        """,
    "src/deeper.py": """
        def strip(word: str) -> str:
            return word.strip()
        """,
    "src/inside.py": """
        def value():
            return deepest()


        def deepest():
            return 1
        """,
    "src/flags.py": """
        import dataclasses
        import enum
        import functools

        FAST = False
        WIDTH = 4

        if FAST:
            def choose():
                return "fast"
        else:
            def choose():
                return "slow"


        @dataclasses.dataclass
        class Settings:
            size: int = 1

            def double(self):
                return 2 * self.size


        settings = Settings(size=2)


        class Level(enum.Enum):
            LOW = 1
            HIGH = 2

            def rank(self):
                return self.value


        LEVEL = Level.HIGH

        order = {"b": 1, "a": 2}


        class Shouter:
            def __init__(self, mark):
                self.mark = mark

            def __call__(self, word):
                return word + self.mark

            def put_before(self, word):
                return self.mark + word


        shout = Shouter("!")
        prefix = Shouter("?").put_before


        def add(n):
            def inner(x):
                return x + n

            return inner


        plus = add(1)
        minus = add(-1)

        table = {"one": lambda x: x + 1, "two": lambda x: x + 2}


        def power(x, n):
            return x + n


        later = functools.partial(power, n=2)
        """,
    "src/spare.py": """
        def nobody_calls_this():
            return 1
        """,
    "src/tracing.py": '''
        """Which nodes ran, and what they gave: one line each in ran.jsonl."""

        import json
        import os


        def note(transform, output):
            with open(os.environ["RAN"], "a") as file:
                file.write(json.dumps([transform.name, output]) + "\\n")
            return output
        ''',
}

CONFIG = """
{
  experiment_name: "matrix",
  train: { batch_size: 8 },
  data_pipeline: {
    transforms: {
      "input:A": { transform_name: "MakeNumbers", setup_kwargs: { n: 1 } },
      "process:B": { input_node: "input:A", transform_name: "UseEverything", setup_kwargs: { m: 1 } },
      "output:C": { input_node: "process:B", transform_name: "Finish" },
    },
  },
}
"""


def write_project(project: Project) -> Cached:
    """Write the project with every way of reaching code.

    Args:
        project: An empty project.

    Returns:
        The project, ready to run.
    """
    for path, text in MODULES.items():
        project.write(path, text)
    project.write("config.jsonnet", CONFIG)
    return Cached(project)
