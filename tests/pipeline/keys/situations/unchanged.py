"""What changes no output."""

from __future__ import annotations

from tests.pipeline.keys.situations.situation import Situation, change, same

UNCHANGED = [
    Situation(
        "Quiet",
        {
            "quiet.py": '''
                """A module."""
                import functools
                import logging

                logger = logging.getLogger(__name__)
                SEEN = {}
                HERE = __file__


                class Used:
                    """A class."""
                    size = 1
                    colour = "red"

                    def go(self, x):
                        """Go."""
                        logger.info("going")
                        SEEN[x] = x
                        return cached(x) + self.size

                    def unrelated_method(self):
                        return 1


                @functools.lru_cache
                def cached(x):
                    return x * 2


                def first():
                    return 1


                def second():
                    return 2
                ''',
        },
        "import logging\nfrom quiet import Used, first, second",
        "[Used().go(3), first(), second()]",
        [
            same("quiet.py", '"""A class."""', '"""Another text."""'),
            same("quiet.py", "def go(self, x):", "def go(self, x: int) -> int:"),
            same("quiet.py", "return 1\n\n\ndef second", "return (\n        1  # one\n    )\n\n\ndef second"),
            same("quiet.py", "def first():", "def unrelated():\n    return 5\n\n\ndef first():"),
            same("quiet.py", "import functools\n", "import functools\n\nlogging_level = 3\n"),
            same("quiet.py", "def unrelated():\n    return 5\n\n\n", ""),
            same(
                "quiet.py",
                "logger = logging.getLogger(__name__)\n",
                "log_to = 'x'\nlogger = logging.getLogger(__name__)\n",
            ),
            change("quiet.py", "size = 1", "size = 2"),
        ],
    ),
]
