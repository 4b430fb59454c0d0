"""What people seldom write."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

ODD = [
    Situation(
        "TupleLambdas",
        {
            "tupl.py": """
        f, g = (lambda x: x + 1), (lambda x: x + 2)
        a = b = lambda x: x * 3
        class Box:
            pass
        box = Box()
        box.h = lambda x: x + 4
        box.table = {"k": lambda x: x + 5}
        box.table["z"], box.q = (lambda x: x + 6), 7
        if True:
            box.w = lambda x: x + 8
        for box.n in (lambda x: x + 9,):
            pass
        (walrus := (lambda x: x + 10))
        """
        },
        "from tupl import b, box, f, g, walrus",
        "[f(1), g(1), b(1), box.h(1), box.table['k'](1), box.table['z'](1), box.w(1), box.n(1)] + [walrus(1), box.q]",
        [
            change("tupl.py", "x + 1)", "x + 11)"),
            change("tupl.py", "x * 3", "x * 4"),
            change("tupl.py", "x + 4", "x + 14"),
            change("tupl.py", "x + 5", "x + 15"),
            change("tupl.py", "x + 8", "x + 18"),
            change("tupl.py", "x + 9", "x + 19"),
            change("tupl.py", "x + 10)", "x + 20)"),
            same("tupl.py", "class Box:", "UNUSED = lambda: 0\n\n\nclass Box:"),
        ],
    ),
    Situation(
        "LibraryUses",
        {
            "libu.py": """
        import collections.abc
        class Rows:
            def __len__(self): return 3
            def __getitem__(self, i): return i * 2
        collections.abc.Sequence.register(Rows)
        """
        },
        "from libu import Rows\nimport collections.abc",
        "[isinstance(Rows(), collections.abc.Sequence), list(reversed(Rows()))]",
        [change("libu.py", "i * 2", "i * 3"), change("libu.py", "collections.abc.Sequence.register(Rows)", "")],
    ),
    Situation(
        "SortKey",
        {
            "sork.py": """
        import functools
        @functools.total_ordering
        class V:
            def __init__(self, n): self.n = n
            def __eq__(self, o): return self.n == o.n
            def __lt__(self, o): return self.n < o.n
            def __hash__(self): return self.n
            def __format__(self, spec): return f"<{self.n}>"
            def __bool__(self): return self.n > 1
        values = [V(3), V(1), V(2)]
        """
        },
        "from sork import values",
        "[f'{v}' for v in sorted(values)] + [bool(v) for v in values]",
        [
            change("sork.py", "self.n < o.n", "self.n > o.n"),
            change("sork.py", "<{self.n}>", "[{self.n}]"),
            change("sork.py", "self.n > 1", "self.n > 2"),
        ],
    ),
    Situation(
        "Weird",
        {
            "weird.py": """
        import weakref, functools, types
        class Node:
            def __init__(self, n):
                self.n = n
                self.parent = None
            def up(self):
                return self.parent().n
        root = Node(1)
        leaf = Node(2)
        leaf.parent = weakref.ref(root)
        gen = (x * 2 for x in [1, 2])
        cache = functools.lru_cache(maxsize=None)(lambda x: x + 5)
        code = compile("y + 1", "<c>", "eval")
        fn = types.FunctionType((lambda: 41).__code__, {})
        big = {"a": [{"b": (leaf, {"c": lambda: 6})}]}
        cmp = functools.cmp_to_key(lambda a, b: b - a)
        singleton = object()
        proxy = types.MappingProxyType({1: 2})
        """
        },
        "import weird",
        "[weird.leaf.up(), list(weird.gen), weird.cache(1), eval(weird.code, {'y': 1}), weird.fn()] "
        "+ [weird.big['a'][0]['b'][1]['c'](), sorted([1, 2, 3], key=weird.cmp)]",
        [
            change("weird.py", "Node(1)", "Node(11)"),
            change("weird.py", "x * 2", "x * 3"),
            change("weird.py", "x + 5", "x + 6"),
            change("weird.py", "y + 1", "y + 2"),
            change("weird.py", "41", "42"),
            change("weird.py", "lambda: 6", "lambda: 7"),
            change("weird.py", "b - a", "a - b"),
        ],
    ),
    Situation(
        "Config",
        {
            "confi/__init__.py": "from .defaults import *\nfrom .defaults import DEPTH as depth\n",
            "confi/defaults.py": "WIDTH = 1\nDEPTH = 2\nNAMES = ('a',)\n_hidden = 3\n",
        },
        "import confi as cfg\nfrom confi import *",
        "[WIDTH, cfg.depth, getattr(cfg, 'NAMES')]",
        [
            change("confi/defaults.py", "WIDTH = 1", "WIDTH = 2"),
            change("confi/defaults.py", "DEPTH = 2", "DEPTH = 3"),
            change("confi/defaults.py", "('a',)", "('b',)"),
            same("confi/defaults.py", "_hidden = 3", "_hidden = 4"),
        ],
    ),
]
