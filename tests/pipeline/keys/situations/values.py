"""Parts of values."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

SMALL = """
import array
import datetime
import decimal
import fractions
import itertools
import operator
import random
import re
import string
import struct
import uuid

import numpy as np

strip = operator.methodcaller("strip", "x")
pick = operator.itemgetter(1)
word = re.compile("a+", re.I)
grid = np.arange(4).reshape(2, 2)
objects = np.array([lambda: 1, 2], dtype=object)
zone = datetime.timezone(datetime.timedelta(hours=2))
half = fractions.Fraction(1, 2)
money = decimal.Decimal("1.10")
packed = struct.Struct("<i")
numbers = array.array("i", [1, 2])
view = memoryview(b"abc")
counter = itertools.count(3)
dice = random.Random(4)
letter = string.Template("hi $x")
whole = range(3)
cut = slice(1, 3)
join = ", ".join
table = str.maketrans("a", "b")
ident = uuid.UUID(int=5)
"""

VALUES = [
    Situation(
        "Collections",
        {
            "coll.py": """
                from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
                from types import MappingProxyType, SimpleNamespace

                class Item:
                    weight = 1

                    def __init__(self, n):
                        self.n = n

                    def __hash__(self):
                        return hash(self.n)

                    def __eq__(self, other):
                        return self.n == other.n

                    def value(self):
                        return self.n * self.weight + 100

                def factory():
                    return 5

                missing = defaultdict(factory)
                lazily = defaultdict(lambda: 6)
                some = {Item(1)}
                frozen = frozenset({Item(2), Item(3)})
                row = (Item(4), [Item(5)])
                line = deque([Item(6)], maxlen=3)
                chain = ChainMap({"a": Item(7)}, {"b": 8})
                proxy = MappingProxyType({"a": Item(9)})
                space = SimpleNamespace(a=Item(10), b=lambda: 11)
                counts = Counter("aab")
                user = UserDict(a=Item(12))
                """,
        },
        "import coll",
        "[coll.missing['x'], coll.lazily['y'], [i.value() for i in coll.some], sorted(i.value() for i in coll.frozen),"
        " coll.row[0].value(), coll.line[0].value(), coll.line.maxlen, coll.chain['a'].value(), coll.chain['b'],"
        " coll.proxy['a'].value(), coll.space.a.value(), coll.space.b(), dict(coll.counts), coll.user['a'].value()]",
        [
            change("coll.py", "return 5", "return 15"),
            change("coll.py", "lambda: 6", "lambda: 16"),
            change("coll.py", "+ 100", "+ 200"),
            change("coll.py", "maxlen=3", "maxlen=4"),
            change("coll.py", "weight = 1", "weight = 2"),
            change("coll.py", "lambda: 11", "lambda: 12"),
            change("coll.py", "Item(9)", "Item(19)"),
            same("coll.py", 'Counter("aab")', 'Counter("aba")'),
        ],
    ),
    Situation(
        "Subclassed",
        {
            "subc.py": """
                class Names(dict):
                    sep = ","

                    def joined(self):
                        return self.sep.join(self) + self.end

                class Rows(list):
                    def total(self):
                        return sum(self) * self.factor

                class Label(str):
                    def shout(self):
                        return self.upper() + self.mark

                class Kelvin(float):
                    def celsius(self):
                        return self - 273

                class Pair(tuple):
                    def first(self):
                        return self[0]

                names = Names(a=1, b=2)
                names.end = "."
                rows = Rows([1, 2])
                rows.factor = 10
                label = Label("hi")
                label.mark = "!"
                warm = Kelvin(300)
                pair = Pair((1, 2))
                """,
        },
        "import subc",
        "[subc.names.joined(), subc.rows.total(), subc.label.shout(), subc.warm.celsius(), subc.pair.first()]",
        [
            change("subc.py", 'end = "."', 'end = ":"'),
            change("subc.py", "factor = 10", "factor = 11"),
            change("subc.py", 'mark = "!"', 'mark = "?"'),
            change("subc.py", "- 273", "- 274"),
            change("subc.py", "self[0]", "self[1]"),
            change("subc.py", "self.upper()", "self.title()"),
            change("subc.py", 'sep = ","', 'sep = ";"'),
        ],
    ),
    Situation(
        "Described",
        {
            "desc.py": """
                import dataclasses
                import enum
                import functools
                from typing import NamedTuple, TypedDict

                class Field:
                    def __init__(self, default):
                        self.default = default

                    def __set_name__(self, owner, name):
                        self.name = name

                    def __get__(self, instance, owner):
                        return (self.name, self.default + 100)

                class Model:
                    width = Field(1)

                class Slotted:
                    __slots__ = ("a", "b")

                    def __init__(self, a):
                        self.a = a

                @dataclasses.dataclass
                class Options:
                    size: int = 2
                    names: list = dataclasses.field(default_factory=lambda: ["x"])

                class Colour(enum.Enum):
                    RED = 3
                    BLUE = 4

                    def nice(self):
                        return self.name.lower()

                class Mode(enum.Flag):
                    A = enum.auto()
                    B = enum.auto()

                class Point(NamedTuple):
                    x: int
                    y: int = 5

                    def total(self):
                        return self.x + self.y

                class Movie(TypedDict):
                    title: str

                class Lazy:
                    @functools.cached_property
                    def slow(self):
                        return 6

                slotted = Slotted(7)
                options = Options()
                lazy = Lazy()
                point = Point(1)
                """,
        },
        "import desc",
        "[desc.Model().width, desc.slotted.a, desc.options.size, desc.Options().names, desc.Colour.BLUE.nice(),"
        " desc.Colour(3).name, desc.point.total(), sorted(desc.Movie.__annotations__), desc.lazy.slow] ",
        [
            change("desc.py", "Field(1)", "Field(2)"),
            change("desc.py", "self.default + 100", "self.default + 200"),
            change("desc.py", "Slotted(7)", "Slotted(8)"),
            change("desc.py", '["x"]', '["y"]'),
            change("desc.py", "self.name.lower()", "self.name.title()"),
            change("desc.py", "RED = 3", "SCARLET = 3"),
            change("desc.py", "y: int = 5", "y: int = 6"),
            change("desc.py", "    title: str", "    title: str\n    year: int"),
        ],
    ),
    Situation(
        "AtImport",
        {
            "atim.py": """
                import json
                import pathlib

                HERE = pathlib.Path(__file__).parent
                SETTINGS = json.loads((HERE.parent / "settings.json").read_text())

                class Reader:
                    limit = SETTINGS["limit"]

                def cut(x, size=SETTINGS["size"], *, end=SETTINGS["end"]):
                    return x[:size] + end
                """,
            "/settings.json": '{"limit": 1, "size": 2, "end": ".", "unused": 1}\n',
        },
        "from atim import Reader, cut",
        "[Reader.limit, cut('abcdef')]",
        [
            change("/settings.json", '"limit": 1', '"limit": 2'),
            change("/settings.json", '"size": 2', '"size": 3'),
            change("/settings.json", '"end": "."', '"end": "!"'),
        ],
    ),
    Situation(
        "Closures",
        {
            "clos.py": """
                def outer(a):
                    table = {"k": a}

                    def middle(b):
                        def inner(x):
                            return table["k"] * x + b
                        return inner
                    return middle

                class Scaler:
                    def __init__(self, n):
                        self.n = n

                    def scale(self, x):
                        return self.n * x

                    def __call__(self, x):
                        return self.scale(x) + 1

                nested = outer(2)(3)
                bound = Scaler(4).scale
                called = Scaler(5)
                pipeline = [Scaler(6).scale, called, nested, str.upper]
                """,
        },
        "from clos import bound, called, nested, pipeline",
        "[nested(1), bound(1), called(1), [f(1) for f in pipeline[:3]], pipeline[3]('a')]",
        [
            change("clos.py", "outer(2)", "outer(20)"),
            change("clos.py", "(3)\nbound", "(30)\nbound"),
            change("clos.py", "Scaler(4)", "Scaler(40)"),
            change("clos.py", "Scaler(6)", "Scaler(60)"),
            change("clos.py", "self.scale(x) + 1", "self.scale(x) + 2"),
            change("clos.py", "* x + b", "* x - b"),
            change("clos.py", "self.n * x", "self.n * x * 2"),
        ],
    ),
    Situation(
        "Small",
        {"smal.py": SMALL},
        "import smal",
        "[smal.strip('xax'), smal.pick('abc'), smal.word.findall('aAb'), smal.grid.tolist(), smal.objects[0](),"
        " str(smal.zone), str(smal.half), str(smal.money), smal.packed.size, smal.numbers.tolist(),"
        " bytes(smal.view).decode(), next(smal.counter), smal.dice.random(), smal.letter.substitute(x=1),"
        " list(smal.whole), 'abcd'[smal.cut], smal.join('ab'), 'a'.translate(smal.table), str(smal.ident)]",
        [
            change("smal.py", '"strip", "x"', '"lstrip", "x"'),
            change("smal.py", "itemgetter(1)", "itemgetter(2)"),
            change("smal.py", "re.I", "0"),
            change("smal.py", "arange(4)", "arange(4)[::-1]"),
            change("smal.py", "lambda: 1", "lambda: 11"),
            change("smal.py", "hours=2", "hours=3"),
            change("smal.py", '"<i"', '"<q"'),
        ],
    ),
    Situation(
        "Smaller",
        {"tiny.py": SMALL},
        "import tiny",
        "[tiny.strip('xax'), tiny.pick('abc'), tiny.word.findall('aAb'), tiny.grid.tolist(), tiny.objects[0](),"
        " str(tiny.zone), str(tiny.half), str(tiny.money), tiny.packed.size, tiny.numbers.tolist(),"
        " bytes(tiny.view).decode(), next(tiny.counter), tiny.dice.random(), tiny.letter.substitute(x=1),"
        " list(tiny.whole), 'abcd'[tiny.cut], tiny.join('ab'), 'a'.translate(tiny.table), str(tiny.ident)]",
        [
            change("tiny.py", "[1, 2])", "[1, 3])"),
            change("tiny.py", "count(3)", "count(4)"),
            change("tiny.py", "Random(4)", "Random(5)"),
            change("tiny.py", "hi $x", "ho $x"),
            change("tiny.py", '", ".join', '"; ".join'),
            change("tiny.py", 'b"abc"', 'b"abd"'),
            same("tiny.py", "whole = range(3)", "whole = range(0, 3)"),
        ],
    ),
    Situation(
        "ClassLevel",
        {
            "clev.py": """
                class Meta(type):
                    prefix = "m"

                    def label(cls):
                        return cls.prefix + cls.__name__

                class Base(metaclass=Meta):
                    handlers = {"a": lambda x: x + 1}
                    steps = [len, str.upper]

                    class Inner:
                        depth = 1

                        class Innermost:
                            def go(self):
                                return 1

                class Child(Base):
                    __match_args__ = ("left",)
                """,
        },
        "import clev",
        "[clev.Child.label(), clev.Child.handlers['a'](1), clev.Child.Inner.depth, clev.Base.Inner.Innermost().go(),"
        " clev.Child.__match_args__]",
        [
            change("clev.py", 'prefix = "m"', 'prefix = "n"'),
            change("clev.py", "x + 1", "x + 2"),
            change("clev.py", "depth = 1", "depth = 2"),
            change("clev.py", "return 1", "return 2"),
            change("clev.py", '("left",)', '("right",)'),
        ],
    ),
]
