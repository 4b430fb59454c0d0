"""Metrics that work offline: ``evaluate.Metric`` modules shipped with runway, and the way to any other.

Each file beside this one is a module that ``evaluate.load(path)`` takes too; ``evaluate`` is imported when the
first metric is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.disk import expanded
from runway.errors import AssetError, ConfigError, did_you_mean
from runway.library_internals import evaluate_offline

if TYPE_CHECKING:
    import evaluate

SHIPPED = {
    "accuracy": "Accuracy",
    "bleu": "Bleu",
    "chrf": "ChrF",
    "confusion_matrix": "ConfusionMatrix",
    "exact_match": "ExactMatch",
    "f1": "F1",
    "mae": "Mae",
    "mse": "Mse",
    "perplexity": "Perplexity",
    "precision": "Precision",
    "r_squared": "RSquared",
    "recall": "Recall",
    "rouge": "Rouge",
    "sacrebleu": "Sacrebleu",
}
"""{name: class in the file of that name}."""

NEEDS = {"rouge": ("rouge_score", "rouge-score")}
"""{metric: (module, package)} for what runway does not depend on."""


def load_metric(name: str | Path, *, trust_remote_code: bool = False, **kwargs: Any) -> evaluate.EvaluationModule:
    """A metric, ready for ``compute(predictions=…, references=…)``.

    Args:
        name: one that runway ships (no network, no files), the path of a metric module (``my_metric.py``, or a
            folder with a file of its name), or a name on the hub (``bertscore``, ``user/metric``).
        trust_remote_code: a metric of the hub is code, which is fetched and run; True says that this one's is trusted.
        **kwargs: for the metric's constructor, such as ``config_name``. Inputs are kept in memory unless
            ``keep_in_memory=False`` or ``num_process`` says otherwise.

    Raises:
        ConfigError: no module at that path, a package that the metric needs is not installed, or it is of the hub and
            not trusted.
        AssetError: the hub does not have it or cannot be reached.
    """
    name = os.fspath(name)
    kwargs.setdefault("keep_in_memory", kwargs.get("num_process", 1) == 1)
    if name in SHIPPED:
        return _shipped(name, kwargs)
    import evaluate

    path = expanded(name)
    if path.exists():
        try:
            return evaluate.load(str(path.resolve()), **kwargs)
        except ImportError as error:
            raise ConfigError(f"the metric module cannot be imported: {error}", where=str(path)) from error
        except FileNotFoundError as error:
            raise ConfigError(
                f"the folder has no metric module {path.name}.py", where=str(path), hint="name the .py file itself"
            ) from error
    if path.suffix == ".py" or path.is_absolute() or name.startswith(("~", ".")) or name.count("/") > 1:
        raise ConfigError(f"there is no metric module {name!r}", where=str(path.resolve()))
    if trust_remote_code is not True:
        raise ConfigError(
            f"the metric {name!r} is not one that runway ships; the hub's code is not fetched and run unasked",
            hint=f"{did_you_mean(name, SHIPPED, listing=20)}; the path of a metric module; or, if you trust the hub's, "
            "`trust_remote_code: true` in its `load_kwargs`",
        )
    return _from_hub(name, kwargs)


def _shipped(name: str, kwargs: dict[str, Any]) -> evaluate.EvaluationModule:
    module_name, package = NEEDS.get(name, (None, None))
    if module_name and importlib.util.find_spec(module_name) is None:
        raise ConfigError(
            f"the metric {name!r} needs the package {package}, which is not installed", hint=f"pip install {package}"
        )
    metric = getattr(importlib.import_module(f"{__name__}.{name}"), SHIPPED[name])
    try:
        return metric(**kwargs)
    except OSError:  # a home that is read-only: evaluate makes a folder even where it keeps all in memory
        import tempfile

        return metric(**{**kwargs, "cache_dir": tempfile.gettempdir()})


def _from_hub(name: str, kwargs: dict[str, Any]) -> evaluate.EvaluationModule:
    import evaluate

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    try:
        with evaluate_offline(offline):
            return evaluate.load(name, **kwargs)
    except ImportError as error:
        raise ConfigError(f"the metric {name!r} needs a package that is not installed: {error}") from error
    except (FileNotFoundError, ConnectionError, OSError) as error:
        why = "HF_HUB_OFFLINE is set" if offline else str(error).splitlines()[0]
        raise AssetError(
            f"the metric {name!r} is not one that runway ships, and the hub does not give it: {why}",
            hint=f"give the path of a metric module, or one that ships: {did_you_mean(name, SHIPPED, listing=20)}",
        ) from error
