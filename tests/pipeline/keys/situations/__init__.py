"""The project of ``test_reached.py``: ways in which code and files reach a transform's output."""

from __future__ import annotations

from tests.pipeline.keys.situations.carried import CARRIED
from tests.pipeline.keys.situations.changed import CHANGED
from tests.pipeline.keys.situations.files import FILES
from tests.pipeline.keys.situations.further import FURTHER
from tests.pipeline.keys.situations.modules import MODULES
from tests.pipeline.keys.situations.odd import ODD
from tests.pipeline.keys.situations.registered import REGISTERED
from tests.pipeline.keys.situations.unchanged import UNCHANGED
from tests.pipeline.keys.situations.values import VALUES

SITUATIONS = [*REGISTERED, *CHANGED, *VALUES, *CARRIED, *MODULES, *FILES, *UNCHANGED, *FURTHER, *ODD]
