"""Code that the data carries."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

CARRIED = [
    Situation(
        "ObjectsInData",
        {
            "objd.py": """
                class Doc:
                    def __init__(self, n):
                        self.n = n

                    def score(self):
                        return self.n + bias()

                def bias():
                    return 1

                def other():
                    return 2
                """,
        },
        "import objd",
        "[data[0].score(), data[1]['x'][0].score()]",
        [
            change("objd.py", "return 1", "return 10"),
            change("objd.py", "self.n + bias()", "self.n - bias()"),
            same("objd.py", "return 2", "return 3"),
        ],
        makes="[objd.Doc(1), {'x': (objd.Doc(2),)}]",
    ),
    Situation(
        "FunctionsInData",
        {
            "fund.py": """
                import functools

                def clean(x):
                    return x + 1

                def scaled(x, n):
                    return x * n

                class Steps:
                    @staticmethod
                    def go(x):
                        return x - 1

                    def bound(self, x):
                        return -x

                    class Nested:
                        def value(self):
                            return 5

                PLAN = {"a": clean, "b": functools.partial(scaled, n=3), "c": Steps.go, "d": Steps().bound}
                """,
        },
        "",
        "[*(data[k](4) for k in 'abcd'), data['e'].value()]",
        [
            change("fund.py", "return x + 1", "return x + 2"),
            change("fund.py", "return x * n", "return x * n * 2"),
            change("fund.py", "return x - 1", "return x - 2"),
            change("fund.py", "return -x", "return -x * 2"),
            change("fund.py", "return 5", "return 6"),
        ],
        makes="{**__import__('fund').PLAN, 'e': __import__('fund').Steps.Nested()}",
    ),
    Situation(
        "FrameObjects",
        {
            "framo.py": """
                class Span:
                    def __init__(self, a, b):
                        self.a, self.b = a, b

                    def __reduce__(self):
                        return rebuilt, (self.a, self.b)

                    def width(self):
                        return self.b - self.a

                def rebuilt(a, b):
                    return Span(a, b + 0)
                """,
        },
        "import pandas\nimport framo",
        "[s.width() for s in data['spans']]",
        [
            change("framo.py", "self.b - self.a", "self.b - self.a + 1"),
            change("framo.py", "b + 0", "b + 5"),
        ],
        makes="pandas.DataFrame({'spans': [framo.Span(1, 3), framo.Span(2, 7)], 'n': [1, 2]})",
    ),
    Situation(
        "ArrayOfObjects",
        {"arro.py": "class Cell:\n    def value(self):\n        return 1\n"},
        "import numpy\nimport arro",
        "[c.value() for c in data]",
        [change("arro.py", "return 1", "return 2")],
        makes="numpy.array([arro.Cell(), arro.Cell()], dtype=object)",
    ),
]
