"""Ways to import."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

MODULES = [
    Situation(
        "StandardNames",
        {"colorsys.py": "def mean(values):\n    return -1\n", "sched.py": "DAYS = 7\n"},
        "import colorsys\nimport sched",
        "[colorsys.mean([1, 2]), sched.DAYS]",
        [change("colorsys.py", "return -1", "return -2"), change("sched.py", "DAYS = 7", "DAYS = 8")],
    ),
    Situation(
        "ByName",
        {
            "byna/__init__.py": "",
            "byna/first.py": "def go():\n    return 1\n",
            "byna/second.py": "def go():\n    return 2\n",
            "byna/third.py": "VALUE = 3\n",
            "byna/fourth.py": "def go():\n    from .third import VALUE\n    return VALUE + 1\n",
            "byna/user.py": """
                import importlib

                def all_of_them(names=("first",)):
                    second = importlib.import_module(".second", __package__)
                    third = __import__("byna.third", fromlist=["VALUE"])
                    computed = [importlib.import_module(f"byna.{name}").go() for name in names]
                    from . import fourth
                    return [*computed, second.go(), third.VALUE, fourth.go()]
                """,
        },
        "from byna.user import all_of_them",
        "all_of_them()",
        [
            change("byna/first.py", "return 1", "return 10"),
            change("byna/second.py", "return 2", "return 20"),
            change("byna/third.py", "VALUE = 3", "VALUE = 30"),
            change("byna/fourth.py", "VALUE + 1", "VALUE + 2"),
            same("byna/first.py", "def go():", "def go() -> int:"),
        ],
    ),
    Situation(
        "Conditional",
        {
            "cond.py": """
                from typing import TYPE_CHECKING

                if TYPE_CHECKING:
                    from cond_types import Kind

                try:
                    from cond_fast_missing import speed
                except ImportError:
                    from cond_slow import speed

                try:
                    import cond_broken
                except Exception:
                    cond_broken = None

                def use(x: Kind = 1) -> "Kind":
                    return [speed(x), cond_broken is None]
                """.replace("x: Kind", "x: 'Kind'"),
            "cond_types.py": "class Kind:\n    size = 1\n",
            "cond_slow.py": "def speed(x):\n    return x + 1\n",
            "cond_broken.py": "raise RuntimeError('not here')\n",
        },
        "from cond import use",
        "use()",
        [
            change("cond_slow.py", "x + 1", "x + 2"),
            same("cond_types.py", "size = 1", "size = 2"),
            change("cond_fast_missing.py", None, "def speed(x):\n    return x + 100\n"),
            change("cond_broken.py", "raise RuntimeError('not here')", "FINE = 1"),
            change("cond_fast_missing.py", "x + 100", "x + 200"),
        ],
    ),
    Situation(
        "StarAndReexport",
        {
            "star/__init__.py": "from .inner import *\nfrom .inner import hidden as shown\nfrom . import inner\n",
            "star/inner.py": """
                __all__ = ["open_one"]

                def open_one():
                    return base()

                def hidden():
                    return 2

                def base():
                    return 1

                def spare():
                    return 3
                """,
            "star/user.py": "from star import *\n\n\ndef go():\n    return open_one()\n",
        },
        "import star\nfrom star import open_one, shown\nfrom star.user import go",
        "[open_one(), shown(), star.inner.base(), go()]",
        [
            change("star/inner.py", "return 1", "return 10"),
            change("star/inner.py", "return 2", "return 20"),
            same("star/inner.py", "return 3", "return 30"),
        ],
    ),
    Situation(
        "LazyModule",
        {
            "lazym/__init__.py": """
                _WHERE = {"go": "lazym.real"}

                def __getattr__(name):
                    import importlib
                    if name in _WHERE:
                        return getattr(importlib.import_module(_WHERE[name]), name)
                    if name == "CONSTANT":
                        return constant()
                    raise AttributeError(name)

                def constant():
                    return 5
                """,
            "lazym/real.py": "def go():\n    return helper()\n\n\ndef helper():\n    return 1\n",
        },
        "import lazym",
        "[lazym.go(), lazym.CONSTANT]",
        [
            change("lazym/real.py", "return 1", "return 2"),
            change("lazym/__init__.py", "return 5", "return 6"),
        ],
    ),
    Situation(
        "ReadByDecorator",
        {
            "readd.py": """
                import inspect
                import typing

                def checked(function):
                    hints = typing.get_type_hints(function)
                    def inner(x):
                        return hints["x"](x)
                    return inner

                def documented(function):
                    function.words = (function.__doc__ or "").split()
                    return function

                def described(cls):
                    cls.about = {n: str(p.annotation) for n, p in inspect.signature(cls.go).parameters.items()}
                    return cls
                """,
            "readd_use.py": """
                from readd import checked, described, documented

                @checked
                def as_type(x: int):
                    return x

                @documented
                def plan():
                    '''alpha beta'''

                @described
                class Thing:
                    def go(self, n: float):
                        '''Nothing.'''
                        return 1
                """,
        },
        "from readd_use import Thing, as_type, plan",
        "[as_type('5'), plan.words, Thing.about]",
        [
            change("readd_use.py", "x: int", "x: str"),
            change("readd_use.py", "alpha beta", "alpha gamma"),
            change("readd_use.py", "n: float", "n: bool"),
        ],
    ),
]
