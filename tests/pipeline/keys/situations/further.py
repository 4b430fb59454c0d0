"""Wrappers, closures, generated code, and what only a run shows."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

FURTHER = [
    Situation(
        "WrapperObject",
        {
            "wrob.py": """
                import functools

                class Repeat:
                    def __init__(self, function, times):
                        functools.update_wrapper(self, function)
                        self.function, self.times = function, times

                    def __call__(self, x):
                        return [self.function(x)] * self.times

                def plus(x):
                    return x + 1

                again = Repeat(plus, 2)

                @functools.partial(Repeat, times=1)
                def decorated(x):
                    return x
                """,
        },
        "from wrob import again, decorated",
        "[again(1), decorated(3)]",
        [
            change("wrob.py", "Repeat(plus, 2)", "Repeat(plus, 3)"),
            change("wrob.py", "x + 1", "x + 2"),
            change("wrob.py", "times=1", "times=2"),
            change("wrob.py", "[self.function(x)]", "[self.function(x), 0]"),
        ],
    ),
    Situation(
        "ImportedAs",
        {
            "impo.py": """
                from math import floor as cut
                from shlex import quote as shape
                from textwrap import dedent

                def go(x):
                    return [cut(x), shape("  a")]
                """,
        },
        "from impo import go",
        "go(1.5)",
        [
            change("impo.py", "floor as cut", "ceil as cut"),
            change("impo.py", "quote as shape", "split as shape"),
            change("impo.py", "ceil as cut", "trunc as cut"),
            change("impo.py", "from shlex import split as shape", "from textwrap import dedent as shape"),
            same("impo.py", "from textwrap import dedent\n", ""),
        ],
    ),
    Situation(
        "OpaqueInClosure",
        {
            "opcl.py": """
                import csv
                import queue
                from functools import partial

                def filled(n):
                    waiting = queue.SimpleQueue()
                    waiting.put(n)
                    return waiting

                def taker(waiting):
                    def take():
                        got = waiting.get()
                        waiting.put(got)
                        return got
                    return take

                class Holder:
                    def __init__(self, waiting):
                        self.waiting = waiting

                    def take(self):
                        got = self.waiting.get()
                        self.waiting.put(got)
                        return got

                closed = taker(filled(1))
                bound = Holder(filled(2)).take
                held = [Holder(filled(3))]
                part = partial(Holder.take, Holder(filled(4)))

                def by_default(waiting=filled(5)):
                    return taker(waiting)()

                class Kept:
                    waiting = filled(6)
                """,
        },
        "from opcl import Kept, bound, by_default, closed, held, part, taker",
        "[closed(), bound(), held[0].take(), part(), by_default(), taker(Kept.waiting)()]",
        [change("opcl.py", f"filled({n})", f"filled(1{n})") for n in range(1, 7)],
    ),
    Situation(
        "StaticPartial",
        {
            "statp.py": """
                from functools import partial
                from operator import attrgetter, itemgetter

                def power(x, n):
                    return x ** n

                class Tools:
                    square = staticmethod(partial(power, n=2))
                    first = property(itemgetter(0))
                    name = property(attrgetter("label"))
                    label = "l"
                    other = "o"

                    def __getitem__(self, index):
                        return "ab"[index]
                """,
        },
        "from statp import Tools",
        "[Tools.square(3), Tools().first, Tools().name]",
        [
            change("statp.py", "n=2", "n=3"),
            change("statp.py", "itemgetter(0)", "itemgetter(1)"),
            change("statp.py", 'attrgetter("label")', 'attrgetter("other")'),
        ],
    ),
    Situation(
        "CodeInText",
        {
            "text_code.py": """
                TEMPLATE = "def made(x):\\n    return x + 1 + bias()\\n"

                def bias():
                    return 1

                space = {"bias": bias}
                exec(TEMPLATE, space)
                exec("def here(x):\\n    return x * 2 * factor()\\n")

                def factor():
                    return 1

                made = space["made"]
                Dynamic = type("Dynamic", (), {"go": lambda self: 3, "size": 4})
                """,
        },
        "from text_code import Dynamic, here, made",
        "[made(1), here(2), Dynamic().go(), Dynamic.size]",
        [
            change("text_code.py", "x + 1 + bias", "x + 2 + bias"),
            change("text_code.py", "def bias():\n    return 1", "def bias():\n    return 2"),
            change("text_code.py", "x * 2 * f", "x * 3 * f"),
            change("text_code.py", "def factor():\n    return 1", "def factor():\n    return 2"),
            change("text_code.py", "self: 3", "self: 33"),
            change("text_code.py", '"size": 4', '"size": 5'),
        ],
    ),
    Situation(
        "Generators",
        {
            "gene.py": """
                import contextlib

                def numbers():
                    yield from inner()

                def inner():
                    yield 1

                @contextlib.contextmanager
                def scope():
                    yield 2

                async def later():
                    return await deeper()

                async def deeper():
                    return 3

                class Walk:
                    def __iter__(self):
                        return (x * 4 for x in range(2))

                    def __enter__(self):
                        return 5

                    def __exit__(self, *error):
                        return False

                def use():
                    import asyncio
                    with scope() as two, Walk() as five:
                        return [*numbers(), two, asyncio.run(later()), *Walk(), five]
                """,
        },
        "from gene import use",
        "use()",
        [
            change("gene.py", "yield 1", "yield 11"),
            change("gene.py", "yield 2", "yield 22"),
            change("gene.py", "return 3", "return 33"),
            change("gene.py", "x * 4", "x * 5"),
            change("gene.py", "return 5", "return 55"),
        ],
    ),
    Situation(
        "HandedOut",
        {
            "hand.py": """
                class Chooser:
                    def __getattr__(self, name):
                        return getattr(Real(), name)

                class Real:
                    def go(self):
                        return by_text("deep")

                def by_text(name):
                    return globals()[f"_{name}"]()

                def _deep():
                    return eval("deeper()")

                def deeper():
                    return 1
                """,
            "data_ops/hand_far.py": "def far():\n    return farther()\n\n\ndef farther():\n    return 1\n",
        },
        "import sys\nfrom hand import Chooser",
        "[Chooser().go(), sys.modules['data_ops.hand_far'].far()]",
        [
            change("hand.py", "return 1", "return 2"),
            change("data_ops/hand_far.py", "return 1", "return 2"),
            same("data_ops/hand_far.py", "return 2", "return (2)"),
        ],
    ),
    Situation(
        "Inherited",
        {
            "inhe.py": """
                class Mixin:
                    def go(self):
                        return super().go() + 1

                class Base:
                    def go(self):
                        return self.step()

                    def step(self):
                        return 10

                class Child(Mixin, Base):
                    pass
                """,
            "data_ops/inhe_more.py": "import inhe\n\ninhe.Child.__bases__ = (inhe.Mixin, inhe.Base)\n",
        },
        "from inhe import Child",
        "Child().go()",
        [
            change("inhe.py", "return 10", "return 20"),
            change("inhe.py", "+ 1", "+ 2"),
            change("data_ops/inhe_more.py", "(inhe.Mixin, inhe.Base)", "(inhe.Base,)"),
        ],
    ),
    Situation(
        "PoolOfLibrary",
        {
            "poll.py": """
                from concurrent.futures import ThreadPoolExecutor
                from pathlib import Path

                HERE = Path(__file__).resolve().parent.parent / "pool"

                def go():
                    with ThreadPoolExecutor(2) as pool:
                        return list(pool.map(Path.read_text, [HERE / "a.txt", HERE / "b.txt"]))
                """,
            "/pool/a.txt": "a",
            "/pool/b.txt": "b",
        },
        "from poll import go",
        "go()",
        [change("/pool/a.txt", "a", "aa"), change("/pool/b.txt", "b", "bb")],
    ),
    Situation(
        "Probed",
        {
            "prob.py": """
                import os
                from pathlib import Path

                ROOT = Path(__file__).resolve().parent.parent / "probe"

                def go():
                    found = []
                    for name in ("first.txt", "second.txt"):
                        try:
                            found.append((ROOT / name).read_text())
                        except FileNotFoundError:
                            found.append(None)
                    return found
                """,
            "/probe/second.txt": "two",
        },
        "from prob import go",
        "go()",
        [change("/probe/first.txt", None, "one"), change("/probe/second.txt", "two", None)],
    ),
    Situation(
        "Contexts",
        {
            "ctxv.py": """
                import contextvars
                import threading
                import types

                level = contextvars.ContextVar("level", default=1)
                local = threading.local()
                local.depth = 2
                bag = types.ModuleType("bag")
                bag.size = 3
                error = ValueError("four")
                words = iter([5, 6])
                pairs = zip([7], [8])
                upper = map(str.upper, ["nine"])

                class Meta(type):
                    def __getitem__(cls, key):
                        return key + 10

                class Indexed(metaclass=Meta):
                    pass
                """,
        },
        "import ctxv",
        "[ctxv.level.get(), ctxv.local.depth, ctxv.bag.size, str(ctxv.error), next(ctxv.words), next(ctxv.pairs),"
        " next(ctxv.upper), ctxv.Indexed[1]]",
        [
            change("ctxv.py", "default=1", "default=11"),
            change("ctxv.py", "depth = 2", "depth = 22"),
            change("ctxv.py", "size = 3", "size = 33"),
            change("ctxv.py", '"four"', '"five"'),
            change("ctxv.py", "[5, 6]", "[6, 7]"),
            change("ctxv.py", "zip([7]", "zip([77]"),
            change("ctxv.py", "nine", "ten"),
            change("ctxv.py", "key + 10", "key + 20"),
        ],
    ),
]
