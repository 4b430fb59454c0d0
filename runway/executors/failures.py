"""What a training or a test fails of that no traceback explains: memory that runs out, a worker that dies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from runway.errors import RunwayError
from runway.executors.sample_errors import worker_death

if TYPE_CHECKING:
    import lightning

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
_STAGES = {"train": "training", "sanity_check": "validation", "validate": "validation", "test": "test"}


class OutOfMemory(RunwayError):
    """A step did not fit into the memory of the GPU or of the machine."""

    title = "Out of memory"
    exit_code = 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, Python or a library says that memory has run out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def told_failures(executor: lightning.LightningModule) -> Iterator[None]:
    """Around a fit or a test of the executor.

    Raises:
        OutOfMemory: in place of the error of torch's or Python's, with the batch and what to lower.
        SampleError: a DataLoader's worker has died.
    """
    try:
        yield
    except RunwayError:
        raise
    except (RuntimeError, MemoryError) as error:
        death = worker_death(error)
        if death is not None:
            raise death from error
        if not is_out_of_memory(error):
            raise
        recording = getattr(executor, "_runway_recording", None)
        at = getattr(recording, "failed_at", None) or {}
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        batch = f", at a batch of {at['batch']}" if at.get("batch") else ""
        hint = _hint(executor, at.get("stage", "train"))
        raise OutOfMemory(f"{reason}{batch}", where=at.get("where", "outside of a step"), hint=hint) from error


def failed_at(trainer: lightning.Trainer, batch: Any, drawn: list[int] | None) -> dict[str, str]:
    """Where a Trainer is, and the batch at hand: ``{stage, where, batch}``.

    Args:
        trainer: whose step has failed.
        batch: of any kind; None where there is none.
        drawn: the rows of the dataset that it was made of.
    """
    stage = getattr(trainer.state.stage, "value", "") or ""
    where = f"{_STAGES.get(stage, stage)}, epoch {trainer.current_epoch}, after optimiser step {trainer.global_step}"
    shapes = list(_shapes(batch))
    if not shapes:
        return {"stage": stage, "where": where}
    widths = [shape[1] for _, shape in shapes if len(shape) > 1]
    told = [", ".join(f"{name} {list(shape)}" for name, shape in shapes[:8])]
    told += [f"{len(drawn)} rows ({', '.join(map(str, drawn[:12]))}{' …' if len(drawn) > 12 else ''})"] if drawn else []
    told += [f"the longest is {max(widths)}"] if widths else []
    return {"stage": stage, "where": where, "batch": "; ".join(told)}


def _shapes(value: Any, name: str = "tensor") -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(value, torch.Tensor):
        yield name, tuple(value.shape)
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in items:
        yield from _shapes(part, str(key) if name == "tensor" else f"{name}.{key}")


def _hint(executor: Any, stage: str) -> str:
    """What to lower, by its place in the config."""
    config: Mapping[str, Any] = getattr(executor, "global_config", None) or {}
    role = {"train": "train", "test": "test"}.get(stage, "val")
    section = "train" if role == "train" else "test"
    if (config.get(section) or {}).get("batch_size") is None:
        section = "train"  # which a test takes, too, where it has none of its own
    node = getattr(executor, "use_data_node", None)
    nodes = (config.get("data_pipeline") or {}).get("transforms") or {}
    settings = (nodes.get(node) or {}).get("setup_kwargs") or {}
    own = settings.get(f"{role}_kwargs") or {}
    place = f"data_pipeline.transforms.{node}.setup_kwargs"
    size, of = f"{section}.batch_size", (config.get(section) or {}).get("batch_size")
    for name in ("max_tokens_per_batch", "eval_max_tokens_per_batch"):
        if settings.get(name) and (name.startswith("eval") == (role != "train")):
            size, of = f"{place}.{name}", settings[name]
    if own.get("batch_size"):
        size, of = f"{place}.{role}_kwargs.batch_size", own["batch_size"]
    elif settings.get("batch_size"):
        size, of = f"{place}.batch_size", settings["batch_size"]
    told = [f"lower `{size}`" + (f" (it is {of})" if of is not None else "")]
    if role == "train":
        told[0] += " and raise `train.trainer_paras.accumulate_grad_batches` by as much, which keeps the step"
    longest = next((name for name, one in nodes.items() if (one.get("setup_kwargs") or {}).get("max_length")), None)
    told.append(
        f"lower `data_pipeline.transforms.{longest}.setup_kwargs.max_length`" if longest else "shorten the rows"
    )
    paras = (config.get("train" if role == "train" else "test") or {}).get("trainer_paras") or {}
    if str(paras.get("precision", "32")) in ("32", "32-true"):
        told.append(f"set `{'train' if role == 'train' else 'test'}.trainer_paras.precision='bf16-mixed'`")
    return "; ".join(told)
