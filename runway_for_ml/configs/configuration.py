"""The sections of a config under the names that annotations of old projects use; each is a Config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from runway.config import Config

__all__ = ["DataPipelineConfig", "MetaConfig", "ModelConfig"]


class _Section(Config):
    of: ClassVar[str]

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any], *others: Any) -> Config:
        """The section of an experiment's config; what else is given says nothing that is not in it."""
        return Config(config_dict.get(cls.of) or {})


class MetaConfig(_Section):
    """``meta``."""

    of = "meta"


class DataPipelineConfig(_Section):
    """``data_pipeline``."""

    of = "data_pipeline"


class ModelConfig(_Section):
    """``model_config``."""

    of = "model_config"
