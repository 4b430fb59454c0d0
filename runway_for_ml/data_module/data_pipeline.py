"""DataPipeline with the original's attributes."""

from __future__ import annotations

from typing import Any

import runway.pipeline.pipeline as of_runway
from runway_for_ml.easy_dict import EasyDict

__all__ = ["DataPipeline"]


class DataPipeline(of_runway.DataPipeline):
    """runway's pipeline."""

    @property
    def transforms(self) -> EasyDict:
        """The nodes, as the config has them."""
        return EasyDict(dict(self.config["transforms"]))

    @property
    def input_transform_ids(self) -> list[str]:
        """The names of all nodes."""
        return list(self.config["transforms"])

    def get_data(self, names: Any, explode: bool = False, input_data_dict: Any = None) -> Any:
        """As runway's; the outputs of several nodes are an EasyDict."""
        data = super().get_data(names, explode, input_data_dict)
        return data if explode else EasyDict(data)
