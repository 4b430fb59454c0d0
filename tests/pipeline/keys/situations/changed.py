"""What is changed after it was made."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

CHANGED = [
    Situation(
        "PatchedMethod",
        {
            "patm.py": """
                class Tool:
                    def run(self):
                        return 1

                    @property
                    def size(self):
                        return 1

                    @classmethod
                    def make(cls):
                        return 1

                    @staticmethod
                    def fixed():
                        return 1
                """,
            "data_ops/patm_more.py": """
                import patm
                from patm import Tool

                def fast(self):
                    return helper()

                def helper():
                    return 10

                Tool.run = fast
                Tool.size = property(lambda self: 20)
                patm.Tool.make = classmethod(lambda cls: 30)
                setattr(Tool, "fixed", staticmethod(lambda: 40))
                """,
        },
        "from patm import Tool",
        "[Tool().run(), Tool().size, Tool.make(), Tool.fixed()]",
        [
            change("data_ops/patm_more.py", "return 10", "return 11"),
            change("data_ops/patm_more.py", "20", "21"),
            change("data_ops/patm_more.py", "30", "31"),
            change("data_ops/patm_more.py", "40", "41"),
            same("data_ops/patm_more.py", "def helper():", "def helper() -> int:"),
        ],
    ),
    Situation(
        "FunctionAttribute",
        {
            "funa.py": "def score(x):\n    return x * score.weight + score.table['bias']\n\n\nscore.table = {}\n",
            "data_ops/funa_more.py": "import funa\n\nfuna.score.weight = 2\nfuna.score.table['bias'] = 1\n",
        },
        "import funa",
        "funa.score(5)",
        [
            change("data_ops/funa_more.py", "weight = 2", "weight = 3"),
            change("data_ops/funa_more.py", "['bias'] = 1", "['bias'] = 2"),
        ],
    ),
    Situation(
        "SetInLoop",
        {
            "setl.py": """
                class Words:
                    pass

                def maker(name):
                    def method(self):
                        return name + END
                    return method

                END = "."
                for name in ("red", "green"):
                    setattr(Words, name, maker(name))
                """,
        },
        "from setl import Words",
        "[getattr(Words(), n)() for n in sorted(dir(Words)) if not n.startswith('_')]",
        [
            change("setl.py", 'END = "."', 'END = "!"'),
            change("setl.py", '"red", "green"', '"red", "green", "blue"'),
            change("setl.py", "name + END", "name + END * 2"),
        ],
    ),
    Situation(
        "FilledElsewhere",
        {
            "fill.py": """
                class Book:
                    def __init__(self):
                        self.pages = {}

                    def add(self, name, page):
                        self.pages[name] = page

                book = Book()
                """,
            "data_ops/fill_more.py": "import fill\n\nfill.book.add('a', lambda: 1)\nfill.book.extra = 5\n",
        },
        "from fill import book",
        "[book.pages['a'](), book.extra]",
        [
            change("data_ops/fill_more.py", "lambda: 1", "lambda: 2"),
            change("data_ops/fill_more.py", "extra = 5", "extra = 6"),
        ],
    ),
    Situation(
        "OpaqueFilled",
        {
            "opaq.py": "import queue\n\nWAITING = queue.SimpleQueue()\n",
            "data_ops/opaq_more.py": "from opaq import WAITING\n\nVALUE = 1\nWAITING.put(VALUE)\nWAITING.put(9)\n",
        },
        "from opaq import WAITING",
        "[WAITING.get_nowait(), WAITING.get_nowait()]",
        [
            change("data_ops/opaq_more.py", "VALUE = 1", "VALUE = 2"),
            change("data_ops/opaq_more.py", "put(9)", "put(8)"),
        ],
    ),
    Situation(
        "PartialTable",
        {
            "part.py": """
                from functools import partial, partialmethod

                def power(x, n):
                    return x ** n

                class Holder:
                    def _do(self, n):
                        return 10 + n
                    do = partialmethod(_do, 1)

                TABLE = {"square": partial(power, n=2), "deep": [(partial(partial(power, n=3)),)]}
                """,
        },
        "import part",
        "[part.TABLE['square'](3), part.TABLE['deep'][0][0](2), part.Holder().do()]",
        [
            change("part.py", "n=2", "n=4"),
            change("part.py", "n=3", "n=5"),
            change("part.py", "_do, 1)", "_do, 2)"),
            change("part.py", "x ** n", "x ** n + 1"),
            change("part.py", "10 + n", "20 + n"),
        ],
    ),
    Situation(
        "InsideLibrary",
        {
            "data_ops/insl_more.py": """
                import textwrap

                def wrap(self, text):
                    return [text[:WIDTH], text[WIDTH:]]

                WIDTH = 2
                textwrap.TextWrapper.wrap = wrap
                """,
        },
        "import textwrap",
        "textwrap.fill('abcdef')",
        [
            change("data_ops/insl_more.py", "WIDTH = 2", "WIDTH = 3"),
            change("data_ops/insl_more.py", "text[WIDTH:]]", "text[WIDTH:].upper()]"),
        ],
    ),
    Situation(
        "WrappedLater",
        {
            "wral.py": "def score(x):\n    return x + 1\n",
            "data_ops/wral_more.py": """
                import functools

                import wral

                def twice(function):
                    @functools.wraps(function)
                    def inner(x):
                        return function(function(x))
                    return inner

                wral.score = twice(wral.score)
                """,
        },
        "import wral",
        "wral.score(1)",
        [
            change("wral.py", "x + 1", "x + 2"),
            change("data_ops/wral_more.py", "function(function(x))", "-function(function(x))"),
        ],
    ),
    Situation(
        "BoundToInstance",
        {
            "bdin.py": "class Tool:\n    def run(self):\n        return 1\n\n\ntool = Tool()\n",
            "data_ops/bdin_more.py": """
                import types

                from bdin import tool

                def other(self):
                    return 2

                tool.run = types.MethodType(other, tool)
                """,
        },
        "from bdin import tool",
        "tool.run()",
        [change("data_ops/bdin_more.py", "return 2", "return 3"), same("bdin.py", "return 1", "return (1)")],
    ),
    Situation(
        "GlobalsFilled",
        {
            "glof.py": """
                def maker(n):
                    return lambda x: x * n + OFFSET

                OFFSET = 0
                for n in range(3):
                    globals()[f"times_{n}"] = maker(n)
                """,
        },
        "import glof\nfrom glof import times_2",
        "[times_2(5), glof.times_1(5)]",
        [
            change("glof.py", "OFFSET = 0", "OFFSET = 1"),
            change("glof.py", "x * n", "x * n * 2"),
            change("glof.py", "maker(n)\n", "maker(n + 1)\n"),
        ],
    ),
    Situation(
        "DunderPatched",
        {
            "dund.py": "class Money:\n    def __init__(self, n):\n        self.n = n\n",
            "data_ops/dund_more.py": """
                from dund import Money

                def add(self, other):
                    return Money(self.n + other.n + 1)

                Money.__add__ = add
                Money.__len__ = lambda self: 7
                """,
        },
        "from dund import Money",
        "[(Money(1) + Money(2)).n, len(Money(3))]",
        [
            change("data_ops/dund_more.py", "other.n + 1", "other.n + 2"),
            change("data_ops/dund_more.py", "self: 7", "self: 8"),
        ],
    ),
    Situation(
        "ClassReplaced",
        {
            "crep.py": """
                class Plain:
                    def go(self):
                        return 1

                thing = Plain()
                """,
            "data_ops/crep_more.py": """
                import crep

                class Fancy(crep.Plain):
                    def go(self):
                        return 2

                crep.thing.__class__ = Fancy
                """,
        },
        "import crep",
        "crep.thing.go()",
        [change("data_ops/crep_more.py", "return 2", "return 3"), same("crep.py", "return 1", "return 1  # one")],
    ),
]
