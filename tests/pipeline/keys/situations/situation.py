"""Ways in which code and files reach a transform's output, each as a small piece of one project, with edits.

``test_reached.py`` lays them all out as one project and makes the edits, one of each situation at a time.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

OPERATION = """
from runway import BaseTransform, register_transform_functor
from trace_of import told
{uses}


@register_transform_functor
class {name}(BaseTransform):
    def _call(self, data):
        return {call}
"""


class Edit(NamedTuple):
    """One edit; a file that is new or goes has None for what was there or comes."""

    file: str
    old: str | None
    new: str | None
    changes: bool = True


class Situation(NamedTuple):
    """A transform, what it uses, and edits with whether they change its output.

    Attributes:
        files: {path: text}, by default below ``src``; ``/x`` is relative to the project.
        uses: statements above the class of the transform.
        call: the expression that is its output.
        makes: where it has an input node, the expression that is that one's output.
    """

    name: str
    files: dict[str, str]
    uses: str
    call: str
    edits: list[Edit]
    makes: str | None = None


def change(file: str, old: str | None, new: str | None) -> Edit:
    """An edit after which the output is another one."""
    return Edit(file, old, new)


def same(file: str, old: str | None, new: str | None) -> Edit:
    """An edit after which the output is what it was."""
    return Edit(file, old, new, changes=False)


def operation(situation: Situation, which: str = "") -> str:
    """The source of a situation's transform (of its input's, where ``which`` is ``Made``)."""
    call = situation.makes if which else f'told("output:{situation.name}", {situation.call})'
    uses = textwrap.dedent(situation.uses).strip()
    return OPERATION.format(uses=uses, name=f"{which}{situation.name}", call=call)
