"""The one place that opens pretrained models, configs and tokenizers: files of others, none of which is run.

transformers runs modules that lie beside a model's files where it is told to trust them, and *asks* on the terminal
where it is told nothing: ``yes |`` would answer. So it is always told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runway.errors import AssetError, ConfigError, damage_told_as, must_be


def open_pretrained(cls: Any, source: str | Path, *, where: str, **arguments: Any) -> Any:
    """What ``cls.from_pretrained(source, …)`` gives; the code of the source is run only if the arguments say so.

    Args:
        cls: a class of transformers.
        source: a folder, or a name on the hub.
        where: what names the source, for errors.
        **arguments: of ``from_pretrained``; ``trust_remote_code=True`` among them is for this source alone.

    Raises:
        ConfigError: the source brings code, and nothing says that it is trusted; or the arguments ask for pickles.
        AssetError: the files are damaged, in a way that transformers has no word for.
        OSError, ValueError, TypeError, RuntimeError: transformers has; or the arguments do not fit.
    """
    trusted = is_trusted(arguments.pop("trust_remote_code", None), where)
    if arguments.pop("weights_only", True) is not True:
        message = "`weights_only: false` would load a pickle, which can run any code"
        raise ConfigError(message, where=where, hint="leave it out; `save_pretrained` writes safetensors")
    if cls.__name__ != "GenerationConfig":  # which has no code, and keeps whatever it is given
        arguments["trust_remote_code"] = trusted
    what, hint = (
        f"the files of {str(source)!r} cannot be loaded",
        "are they damaged, or of another kind? save them again",
    )
    with damage_told_as(AssetError, what, where=where, hint=hint):
        try:
            return cls.from_pretrained(str(source), **arguments)
        except ImportError as error:
            reason = " ".join(str(error).split())[:200]
            message = f"{str(source)!r} cannot be loaded without a package that is not installed: {reason}"
            raise AssetError(message, where=where) from error
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            if not trusted and "custom code" in str(error):
                message = f"{str(source)!r} brings code of its own, which is not run"
                hint = "look at its .py files; if you trust them: `trust_remote_code: true` beside its name"
                raise ConfigError(message, where=where, hint=hint) from error
            if isinstance(error, RecursionError):
                raise
            fitting = error
    raise fitting  # what transformers says of arguments that do not fit, or of files that are not there


def is_trusted(setting: Any, where: str) -> bool:
    """Whether a config says ``trust_remote_code: true`` of a source; not to say it is to say false.

    Raises:
        ConfigError: it says something else.
    """
    must_be(setting in (None, True, False), "trust_remote_code", "true or false", setting, where=where)
    return setting is True
