"""Seq2SeqExecutor: any encoder-decoder of transformers, pretrained or from scratch, from pairs of texts to BLEU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from runway.disk import replacing
from runway.errors import ConfigError, DataError, must_be, must_be_known
from runway.executors.base_executor import BaseExecutor
from runway.executors.callbacks.weight_averaging import RAW_KEY, AverageLastWeights, put_weights
from runway.executors.lightning_internals import attached_trainer
from runway.executors.seq2seq.export import export_translator
from runway.executors.seq2seq.generation import Generation
from runway.executors.seq2seq.model import Tokenizers, make_model, max_positions
from runway.executors.seq2seq.token_loss import (
    IGNORE_INDEX,
    PackedHead,
    rounded,
    smoothed_cross_entropy,
    token_losses,
)
from runway.executors.seq2seq.token_window import TokenWindow
from runway.executors.seq2seq.trained_tokens import SkippedBatches, tell_trained_tokens
from runway.log import info, warning
from runway.registry import register_executor

if TYPE_CHECKING:
    from pathlib import Path

    import lightning

    from runway.config.config import Config
    from runway.recorder import EvalRecorder

EXPORT_FOLDER = "export"
SCORES = ("sacrebleu", "chrf")
WINDOW_KEY = "token_window"


@register_executor
class Seq2SeqExecutor(BaseExecutor):
    """Train an encoder-decoder on pairs of texts, and translate with it.

    A step's loss is the mean over its target tokens, however many micro-batches (``accumulate_grad_batches``) and ranks
    share them; a batch without any is skipped and counted.

    Batches hold ``input_ids [B, S]``, ``attention_mask [B, S]``, ``labels [B, T]`` (padded with -100), and where
    the texts are to be recorded as they were, ``source`` and ``target``, lists of text. Logged: ``train_loss``
    (with label smoothing), ``val_loss`` and ``val_perplexity``, ``test_loss`` and ``test_perplexity`` (without;
    means over tokens, exact over batches). Recorded for each pair: ``source``, ``reference``, ``hypothesis``
    (where it was decoded), ``loss`` (mean over its tokens), ``target_tokens``.

    A test leaves the model in ``export`` of its folder, as ``save_pretrained`` writes it; ``runway translate``
    uses that.

    ``model_config`` holds ``from_pretrained_kwargs``, or ``from_config_kwargs`` for a model from scratch, whose sizes
    of vocabulary and special tokens follow from the tokenizer; ``train_from_scratch: true`` takes a pretrained
    model's architecture only. ``tokenizer`` may be ``{source: …, target: …}``.

    Args:
        *args: BaseExecutor's.
        tokenizer_node: the node that gives the tokenizer (TrainTokenizer), instead of ``tokenizer_config``.
        label_smoothing: the part of the target's probability that is spread over the vocabulary, in training.
        generate_params: how to decode: what transformers' GenerationConfig takes (``num_beams``, ``length_penalty``),
            and ``max_len_a``, ``max_len_b``: see ``Generation``.
        generate_in_validation: decode in validations too, which costs time and allows ``monitor: 'sacrebleu'``.
        average_last: average weights in validation, checkpoints and test: of so many last validations, or
            ``{count, every_n_steps}``; see ``AverageLastWeights``.
        export: whether a test saves the model for use.
        **kwargs: BaseExecutor's.
    """

    lora_task_type = "SEQ_2_SEQ_LM"

    def __init__(
        self,
        *args: Any,
        tokenizer_node: str | None = None,
        label_smoothing: float = 0.0,
        generate_params: Mapping[str, Any] | None = None,
        generate_in_validation: bool = False,
        average_last: int | Mapping[str, int] | None = None,
        export: bool = True,
        **kwargs: Any,
    ) -> None:
        fits = not isinstance(label_smoothing, bool) and 0 <= label_smoothing < 1
        where = "executor.init_kwargs.label_smoothing"
        must_be(fits, "label_smoothing", "from 0 to below 1", label_smoothing, where=where)
        self.tokenizer_node = tokenizer_node
        self.label_smoothing = float(label_smoothing)
        self.generate_params = dict(generate_params or {})
        self.generate_in_validation = generate_in_validation
        self.average_last = average_last
        self.export = export
        self._runway_raw_weights: dict[str, torch.Tensor] | None = None
        self._runway_window: TokenWindow | None = None
        self._runway_half_window: dict[str, float] | None = None
        self._runway_skipped: SkippedBatches | None = None
        super().__init__(*args, **kwargs)
        self.head = PackedHead(self.model)
        if average_last is not None:
            AverageLastWeights.of(average_last)  # a mistake in it shows now

    def _init_model(self, model_config: Config) -> None:
        """Load or make the model in the tokenizers' sizes."""
        self.tokenizers = self._runway_find_tokenizers()
        self.model = make_model(model_config, self.tokenizers)
        self.positions = max_positions(self.model)
        self.generation = Generation(
            self.generate_params,
            self.model.generation_config,
            positions=self.positions,
            where="executor.init_kwargs.generate_params",
        )
        config = self.model.config
        pad, start = config.pad_token_id, config.decoder_start_token_id
        self.pad_id: int = self.tokenizers.target.pad_token_id if pad is None else pad
        self.start_id: int = self.pad_id if start is None else start

    def _runway_find_tokenizers(self) -> Tokenizers:
        if self.tokenizer_node is None or self._runway_tokenizer is not None:
            return Tokenizers.of(self.tokenizer, "tokenizer_config")
        nodes = list((self.data_pipeline_config.get("transforms") or {}) if self.dp is not None else {})
        where = "executor.init_kwargs.tokenizer_node"
        must_be_known([self.tokenizer_node], nodes, "the data pipeline has no node", where=where, listing=20)
        assert self.dp is not None
        found = self.dp.get_data([self.tokenizer_node], explode=True)
        tokenizers = Tokenizers.of(found, f"{where}={self.tokenizer_node!r}")
        self._runway_tokenizer = tokenizers.target
        return tokenizers

    def save_tokenizer(self, folder: Path) -> None:
        """Save the tokenizer; two in folders by side."""
        if self.tokenizers.joint:
            super().save_tokenizer(folder)
            return
        with replacing(folder) as beside:
            for side, tokenizer in self.tokenizers._asdict().items():
                tokenizer.save_pretrained(beside / side)

    def on_fit_start(self) -> None:
        """Find out what would fail after an epoch: decoding settings, a monitored score that nobody computes."""
        super().on_fit_start()
        self.generation.check(self.model)
        loaders = self.dataloaders()
        if loaders and not loaders.get("test_dataloaders"):
            warning("there is no test split, so what is trained cannot be tested (`dataset.split` makes one)")
        self._runway_window = TokenWindow(self.trainer, self._runway_half_window)
        if self.trainer.strategy.handles_gradient_accumulation and self.trainer.accumulate_grad_batches > 1:
            kind = type(self.trainer.strategy).__name__
            warning(f"{kind} accumulates by itself: micro-batches weigh alike, and a token of a short one weighs more")
        self._runway_skipped = SkippedBatches(where := f"the train split of {self.use_data_node!r}")
        given = vars(self).get("train_dataloaders", loaders.get("train_dataloaders"))
        for loader in given if isinstance(given, list | tuple) else [given]:
            tell_trained_tokens(loader, where)
        for callback in (*self.trainer.checkpoint_callbacks, *self.trainer.early_stopping_callbacks):
            self._runway_check_monitor(
                getattr(callback, "monitor", None), getattr(callback, "mode", None), type(callback)
            )
        if self._runway_raw_weights is not None:
            put_weights(self, self._runway_raw_weights)
            self._runway_raw_weights = None

    def _runway_check_monitor(self, monitor: str | None, mode: str | None, callback: type) -> None:
        if monitor not in SCORES:
            return
        kind = "model_checkpoint" if issubclass(callback, ModelCheckpoint) else "early_stopping"
        section = f"train.{kind}_callback_paras"
        if not self.generate_in_validation or not self._runway_validation_pipeline()[0]:
            raise ConfigError(
                f"the metric {monitor!r} is not computed in validations",
                where=f"{section}.monitor",
                hint="set executor.init_kwargs.generate_in_validation=true, and eval.valid_eval_pipeline_config to "
                "(import 'runway/translation_eval.libsonnet').validation()",
            )
        if mode != "max":
            message = f"the best {monitor!r} is the highest, but `mode` is {mode!r}"
            raise ConfigError(message, where=f"{section}.mode", hint="set mode: 'max'")

    def on_test_start(self) -> None:
        """Find out whether the decoding settings work, before anything is decoded."""
        self.generation.check(self.model)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where a training goes on without averaging: from the weights as trained, not from their mean."""
        super().on_load_checkpoint(checkpoint)
        trainer = attached_trainer(self)
        trains = trainer is not None and trainer.state.fn == "fit"
        self._runway_raw_weights = checkpoint.get(RAW_KEY) if trains and self.average_last is None else None
        self._runway_half_window = checkpoint.get(WINDOW_KEY) if trains else None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the count of tokens of half an accumulated step."""
        super().on_save_checkpoint(checkpoint)
        if self._runway_window is not None and self._runway_window.state is not None:
            checkpoint[WINDOW_KEY] = self._runway_window.state

    def loaders_for(self, data: Any) -> list[Any]:
        """As a BaseExecutor's; of encoded pairs as MakePairDataloaders makes them."""
        if not {"input_ids", "labels"} <= set(getattr(data, "column_names", ()) or ()):
            return super().loaders_for(data)
        from datasets import DatasetDict

        from runway.transforms.batching.dataloaders import MakePairDataloaders

        maker = MakePairDataloaders(name="Predict", global_config=self.global_config, project=self.project_dir)
        maker.setup()
        tokenizers = self.tokenizers
        given = tokenizers.target if tokenizers.joint else tokenizers._asdict()
        return maker([DatasetDict({"test": data}), given])["test_dataloaders"]

    # One batch

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Check the batch and make the decoder's side of it while it is on the CPU: on a GPU that would wait."""
        return self._runway_complete(batch)

    def _runway_complete(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with ``decoder_input_ids [B, T]``, ``positions [M]`` that count, and ``targets [N]``."""
        if isinstance(batch, list | tuple):
            raise ConfigError(
                f"a training takes one dataloader, but there are {len(batch)}",
                where=f"{self.use_data_node}",
                hint="put the splits together before (ConcatenateDatasets), and make one loader of them",
            )
        if "positions" in batch:
            return dict(batch)
        self._runway_check_batch(batch)
        labels = batch["labels"]
        counts = labels != IGNORE_INDEX
        shifted = labels.new_full(labels.shape, self.pad_id)
        shifted[:, 0] = self.start_id
        shifted[:, 1:] = labels[:, :-1].masked_fill(~counts[:, :-1], self.pad_id)
        positions = counts.flatten().nonzero().squeeze(1)
        return {
            **batch,
            "attention_mask": self._runway_source_mask(batch),
            "decoder_input_ids": shifted,
            "positions": rounded(positions),
            "targets": labels.flatten()[positions],
        }

    def _runway_check_batch(self, batch: Mapping[str, Any]) -> None:
        where = self.split_at_hand()
        for name in ("input_ids", "labels"):
            hint = "encode the pairs before (EncodePairs gives `input_ids` and `labels`)"
            self.require_in_batch(batch, name, hint)
        shape = tuple(batch["labels"].shape)
        if len(shape) != 2:
            raise DataError(f"the labels must be token ids [B, T], but have the shape {shape} instead", where=where)
        if self.positions is None:
            return
        for side, mask in (("source", self._runway_source_mask(batch)), ("target", batch["labels"] != IGNORE_INDEX)):
            padded = mask.shape[1]
            if padded <= self.positions:
                continue
            lengths = mask.sum(1)
            row = int(lengths.argmax())
            longest = int(lengths[row])
            if longest <= self.positions:
                message = f"the batch is padded to {padded} tokens, but the model has {self.positions} positions"
                hint = "pad to a smaller multiple (pad_to_multiple_of of the dataloaders)"
                raise DataError(message, where=where, hint=hint)
            index = batch.get("index")
            raise DataError(
                f"a {side} of {longest} tokens is longer than the model's {self.positions} positions",
                where=where + (f", row {int(index[row])}" if index is not None else ""),
                hint="drop or cut long pairs when they are encoded (max_length of EncodePairs), or give the model "
                "more (max_position_embeddings)",
            )

    def _runway_source_mask(self, batch: Mapping[str, Any]) -> torch.Tensor:
        mask = batch.get("attention_mask")
        return (batch["input_ids"] != self.tokenizers.source.pad_token_id).long() if mask is None else mask

    def forward(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """The logits ``[M, V]`` at the target positions that count, in the order of ``labels``; see ``rounded``."""
        batch = self._runway_complete(batch)
        return self.head.logits(
            self.model,
            batch["positions"],
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=batch["decoder_input_ids"],
            use_cache=False,
        )

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> torch.Tensor:
        """The mean cross-entropy of the batch's target tokens, with label smoothing.

        Where micro-batches or ranks share a step, it is times the batch's share of the tokens: see ``TokenWindow``.
        """
        batch = self._runway_complete(batch)
        loss = smoothed_cross_entropy(self(batch), batch["targets"], self.label_smoothing)
        tokens = len(batch["targets"])
        if tokens:
            self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=tokens)
        if self._runway_skipped is not None:
            self._runway_skipped.add(tokens, batch["labels"].numel(), batch_idx)
        share = 1.0 if self._runway_window is None else self._runway_window.share(tokens, batch_idx)
        return loss if isinstance(share, float) and share == 1 else loss * share

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """The backward pass; after a step's last, each of its tokens weighs alike in the gradients."""
        super().backward(loss, *args, **kwargs)
        if self._runway_window is not None:
            self._runway_window.complete()

    def on_train_epoch_end(self) -> None:
        """Tell of the batches that had nothing to train on."""
        if self._runway_skipped is not None:
            self._runway_skipped.end_epoch(self.trainer)

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Teacher-forced losses, and hypotheses where they are asked for; record every pair."""
        self._runway_evaluate_batch(batch, self.valid_eval_recorder, decode=self.generate_in_validation)

    def test_step(self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Teacher-forced losses and hypotheses; record every pair."""
        self._runway_evaluate_batch(batch, self.test_eval_recorder, decode=True)

    def _runway_evaluate_batch(self, batch: Mapping[str, Any], recorder: EvalRecorder, *, decode: bool) -> None:
        batch = self._runway_complete(batch)
        labels = batch["labels"]
        losses = token_losses(self(batch), batch["targets"]).double()  # [N]
        rows = batch["positions"][: len(losses)] // labels.shape[1]  # [N]: whose token it is
        sums = losses.new_zeros(len(labels)).index_add_(0, rows, losses)  # [B]
        counts = torch.bincount(rows, minlength=len(labels))  # [B]
        columns = {
            "source": self._runway_texts(batch, "source"),
            "reference": self._runway_texts(batch, "target"),
            "loss": (sums / counts.clamp_min(1)).tolist(),
            "target_tokens": counts.tolist(),
        }
        if decode:
            columns["hypothesis"] = self.translate_batch(batch)
        recorder.log_sample_dict_batch(columns)

    def translate_batch(self, batch: Mapping[str, Any]) -> list[str]:
        """Hypotheses for a batch of ``input_ids`` and ``attention_mask``, one text each."""
        tokens = self.generation(self.model, batch["input_ids"], batch["attention_mask"])  # [B, T]
        return self.tokenizers.target.batch_decode(tokens.tolist(), skip_special_tokens=True)

    def _runway_texts(self, batch: Mapping[str, Any], side: str) -> Sequence[str]:
        """The texts of one side: as they came with the batch, else of the tokens."""
        if side in batch:
            return list(batch[side])
        ids, tokenizer = batch["input_ids" if side == "source" else "labels"], getattr(self.tokenizers, side)
        ids = ids.masked_fill(ids == IGNORE_INDEX, tokenizer.pad_token_id)
        return tokenizer.batch_decode(ids.tolist(), skip_special_tokens=True)

    # Around the steps

    def recorded_metrics(self, prefix: str, recorder: EvalRecorder) -> dict[str, float]:
        """Loss and perplexity over all target tokens: the same whatever the batches and the number of ranks."""
        if "loss" not in recorder or "target_tokens" not in recorder:
            return {}
        losses, tokens = (np.asarray(recorder.get_sample_logs_column(name)) for name in ("loss", "target_tokens"))
        if len(recorder) and not tokens.sum():
            warning(f"{prefix}: there is no target token in any of the {len(recorder)} pairs, so there is no loss")
        mean = float(losses @ tokens / tokens.sum()) if tokens.sum() else math.nan
        return {f"{prefix}_loss": mean, f"{prefix}_perplexity": math.exp(mean) if mean < 700 else math.inf}

    def on_test_end(self) -> None:
        """Export the tested model, where the test has a folder of its own."""
        if not self.export or self.mode != "test" or self.recorders_dir is None or not self.trainer.is_global_zero:
            return
        folder = self.recorders_dir / EXPORT_FOLDER
        nodes = (self.data_pipeline_config.get("transforms") or {}).values()
        first = {node.get("transform_name"): dict(node.get("setup_kwargs") or {}) for node in reversed(list(nodes))}
        prefix = first.get("EncodePairs", {}).get("source_prefix") or ""
        cleaning = first.get("CleanPairs")
        try:
            export_translator(folder, self.model, self.tokenizers, self.generation, prefix, cleaning)
        except (OSError, RuntimeError, ValueError) as error:  # what was tested must not be lost for it
            warning(f"the model could not be exported to {folder}: {error}")
        else:
            info(f"exported: {folder}")

    def configure_callbacks(self) -> list[lightning.Callback]:
        """Those of every training, and the averaging of weights where it is asked for."""
        callbacks = super().configure_callbacks()
        if self.average_last is not None and self.mode == "train":
            callbacks.append(AverageLastWeights.of(self.average_last))
        return callbacks
