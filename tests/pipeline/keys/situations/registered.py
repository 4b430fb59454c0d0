"""What is registered elsewhere and reached when the node runs."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

REGISTERED = [
    Situation(
        "SingleDispatchMethod",
        {
            "sdm.py": """
                from functools import singledispatchmethod

                class Shower:
                    @singledispatchmethod
                    def show(self, x):
                        return "any"
                """,
            "data_ops/sdm_more.py": """
                from sdm import Shower

                @Shower.show.register(int)
                def of_int(self, x):
                    return "int 1"

                @Shower.show.register(list)
                def of_list(self, x):
                    return "list"
                """,
        },
        "from sdm import Shower",
        "[Shower().show(1), Shower().show('a')]",
        [
            change("data_ops/sdm_more.py", "int 1", "int 2"),
            change("sdm.py", '"any"', '"some"'),
            same("data_ops/sdm_more.py", "def of_int(self, x):", "def of_int(self, x: int) -> str:"),
        ],
    ),
    Situation(
        "RegistryClass",
        {
            "regc.py": """
                class Registry:
                    table = {}

                    @classmethod
                    def add(cls, name):
                        def enter(function):
                            cls.table[name] = function
                            return function
                        return enter
                """,
            "data_ops/regc_more.py": """
                from regc import Registry

                FACTOR = 2

                @Registry.add("double")
                def double(x):
                    return x * FACTOR

                def unrelated():
                    return 1
                """,
        },
        "from regc import Registry",
        "{name: f(3) for name, f in Registry.table.items()}",
        [
            change("data_ops/regc_more.py", "FACTOR = 2", "FACTOR = 3"),
            change(
                "data_ops/regc_third.py",
                None,
                "import regc\n\n\n@regc.Registry.add('neg')\ndef neg(x):\n    return -x\n",
            ),
            same("data_ops/regc_more.py", "def unrelated():\n    return 1", "def unrelated():\n    return 2"),
            change("data_ops/regc_third.py", "-x", "-x - 1"),
            change("data_ops/regc_third.py", "-x - 1", None),
        ],
    ),
    Situation(
        "Metaclass",
        {
            "metac.py": """
                class Meta(type):
                    known = []

                    def __init__(cls, name, bases, body):
                        super().__init__(name, bases, body)
                        Meta.known.append(cls)

                class Base(metaclass=Meta):
                    def go(self):
                        return 0
                """,
            "data_ops/metac_more.py": """
                from metac import Base

                class One(Base):
                    def go(self):
                        return 1
                """,
        },
        "from metac import Base, Meta",
        "[cls().go() for cls in Meta.known]",
        [
            change("data_ops/metac_more.py", "return 1", "return 2"),
            change("data_ops/metac_third.py", None, "from metac import Base\n\n\nclass Two(Base):\n    pass\n"),
            same("data_ops/metac_third.py", "pass", '"""Two."""'),
        ],
    ),
    Situation(
        "InitSubclass",
        {
            "inits.py": """
                class Plugin:
                    by_tag = {}

                    def __init_subclass__(cls, *, tag, **kwargs):
                        super().__init_subclass__(**kwargs)
                        Plugin.by_tag[tag] = cls
                """,
            "data_ops/inits_more.py": """
                from inits import Plugin

                class A(Plugin, tag="a"):
                    value = 1
                """,
        },
        "from inits import Plugin",
        "{tag: cls.value for tag, cls in Plugin.by_tag.items()}",
        [
            change("data_ops/inits_more.py", 'tag="a"', 'tag="b"'),
            change("data_ops/inits_more.py", "value = 1", "value = 2"),
        ],
    ),
    Situation(
        "Subclasses",
        {
            "subs.py": """
                class Shape:
                    def area(self):
                        return 0

                def all_below(cls):
                    return [cls] + [c for sub in cls.__subclasses__() for c in all_below(sub)]
                """,
            "data_ops/subs_more.py": """
                from subs import Shape

                class Square(Shape):
                    def area(self):
                        return 4

                class Big(Square):
                    def area(self):
                        return 16
                """,
        },
        "from subs import Shape, all_below",
        "[c().area() for c in all_below(Shape)]",
        [
            change("data_ops/subs_more.py", "return 16", "return 25"),
            change(
                "data_ops/subs_third.py", None, "from data_ops.subs_more import Big\n\n\nclass Huge(Big):\n    pass\n"
            ),
            same("data_ops/subs_more.py", "return 25", "return (25)"),
        ],
    ),
    Situation(
        "AbcRegister",
        {
            "abcr.py": """
                import abc

                class Loud(abc.ABC):
                    pass

                class Dog:
                    pass

                class Cat:
                    pass
                """,
            "data_ops/abcr_more.py": """
                import abcr

                abcr.Loud.register(abcr.Dog)
                """,
        },
        "import abcr",
        "[isinstance(abcr.Dog(), abcr.Loud), isinstance(abcr.Cat(), abcr.Loud)]",
        [
            change("data_ops/abcr_more.py", "abcr.Loud.register(abcr.Dog)", "abcr.Loud.register(abcr.Cat)"),
            same("data_ops/abcr_more.py", "import abcr\n", "import abcr  # both\n"),
        ],
    ),
    Situation(
        "CopyReg",
        {
            "copr.py": """
                class Point:
                    def __init__(self, x):
                        self.x = x
                """,
            "data_ops/copr_more.py": """
                import copyreg

                from copr import Point

                def reduced(point):
                    return Point, (point.x + 1,)

                copyreg.pickle(Point, reduced)
                """,
        },
        "import copy\nfrom copr import Point",
        "copy.copy(Point(1)).x",
        [
            change("data_ops/copr_more.py", "point.x + 1", "point.x + 2"),
            same("data_ops/copr_more.py", "import copyreg\n", "import copyreg\nimport os\n"),
        ],
    ),
    Situation(
        "CodecError",
        {
            "data_ops/code_more.py": """
                import codecs

                def as_dots(error):
                    return "." * (error.end - error.start), error.end

                codecs.register_error("dots", as_dots)
                """,
        },
        "",
        "'naïve'.encode('ascii', 'dots').decode()",
        [
            change("data_ops/code_more.py", '"."', '"-"'),
            same("data_ops/code_more.py", "def as_dots(error):", 'def as_dots(error):\n    """Dots."""'),
            same("data_ops/code_more.py", "import codecs\n", "import codecs\n\nUNUSED = 1\n"),
        ],
    ),
    Situation(
        "CsvDialect",
        {
            "data_ops/dialects.py": """
                import csv

                csv.register_dialect("mine", delimiter=";")
                """,
        },
        "import csv",
        "list(csv.reader(['a;b|c'], dialect='mine'))",
        [
            change("data_ops/dialects.py", '";"', '"|"'),
            same("data_ops/dialects.py", "import csv\n", "import csv  # text\n"),
        ],
    ),
    Situation(
        "Accessor",
        {
            "data_ops/accessors.py": """
                import pandas as pd

                @pd.api.extensions.register_series_accessor("shape_of")
                class ShapeOf:
                    def __init__(self, series):
                        self.series = series

                    def longest(self):
                        return int(self.series.str.len().max()) + BIAS

                BIAS = 1
                """,
        },
        "import pandas",
        "pandas.Series(['a', 'bcd']).shape_of.longest()",
        [
            change("data_ops/accessors.py", "BIAS = 1", "BIAS = 2"),
            change("data_ops/accessors.py", ".max()", ".min()"),
            same("data_ops/accessors.py", "    def longest(self):", "    def longest(self) -> int:"),
        ],
    ),
    Situation(
        "DispatchByAnnotation",
        {
            "disa.py": """
                import functools

                class Word(str):
                    pass

                @functools.singledispatch
                def size(x):
                    return -1
                """,
            "data_ops/disa_more.py": """
                from disa import Word, size

                @size.register
                def _(x: Word):
                    return len(x)

                @size.register
                def _(x: int):
                    return x
                """,
        },
        "from disa import Word, size",
        "[size(Word('abc')), size(5), size(None)]",
        [
            change("data_ops/disa_more.py", "return len(x)", "return 2 * len(x)"),
            change("data_ops/disa_more.py", "(x: int)", "(x: float)"),
        ],
    ),
    Situation(
        "EntryInLoop",
        {
            "eloop.py": "HANDLERS = []\n\n\ndef add(handler):\n    HANDLERS.append(handler)\n",
            "data_ops/eloop_more.py": """
                import eloop

                def first(x):
                    return x + 1

                for handler in (first, lambda x: x * 3):
                    eloop.add(handler)
                """,
        },
        "import eloop",
        "[h(2) for h in eloop.HANDLERS]",
        [
            change("data_ops/eloop_more.py", "x + 1", "x + 2"),
            change("data_ops/eloop_more.py", "x * 3", "x * 4"),
        ],
    ),
]
