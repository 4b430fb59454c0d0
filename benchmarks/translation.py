"""Translation side by side in one process: ours, plain loops over the same batches, and the usual way.

    python benchmarks/translation.py --data FOLDER [--seconds 60] [--chunk 20] [--sentences 200]

``FOLDER`` holds ``train``, ``val`` and ``test_2016_flickr`` as ``.de.gz`` and ``.en.gz`` (Multi30K). While the
Seq2SeqExecutor trains under Lightning, it stops after every chunk of batches, and the others train theirs, until each
has had its seconds:

- ``ours``: the executor of configs/translation/multi30k_de_en.jsonnet, with everything that a run logs;
- ``same model, plain loop``: the same model, loss and batches without Lightning, which shows what the framework costs;
- ``nn.Transformer, plain loop``: what one would write by hand, over the same batches, in the same precision;
- ``seed 000's way``: that in fp32, over batches of 128 at random, padded, decoding one sentence at a time.

Tokens are those of source and target without padding. Then each decodes the same test sentences; ours decodes them in
seed 000's way, too, so that the same weights write the same hypotheses. With ``--export FOLDER``, the ``export`` of a
run of that config on that data, it decodes with weights that were trained for longer than this script does.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import lightning  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402
from transformers import AutoModelForSeq2SeqLM  # noqa: E402

from runway import DataPipeline, load_config  # noqa: E402
from runway.executors import Seq2SeqExecutor, best_precision  # noqa: E402
from runway.executors.seq2seq.generation import Generation  # noqa: E402
from runway.executors.seq2seq.token_loss import PackedHead, smoothed_cross_entropy  # noqa: E402
from runway.experiment.trainer import quiet_lightning  # noqa: E402
from runway.log import set_quiet  # noqa: E402

ONE_AT_A_TIME = "ours, one at a time, no cache"
PAIRS, TOKENIZER, LOADERS = "process:EncodePairs", "process:TrainTokenizer", "output:MakePairDataloaders"
PLAIN, BY_HAND, SEED = "same model, plain loop", "nn.Transformer, plain loop", "seed 000's way"
LIMIT = 60  # tokens of a hypothesis


def tokens_of(batch: dict[str, Any]) -> int:
    """Source and target tokens, without padding."""
    return int(batch["attention_mask"].sum() + (batch["labels"] != -100).sum())


class HandWritten(nn.Module):
    """nn.Transformer with sinusoidal positions and one matrix for all embeddings."""

    def __init__(self, vocabulary: int, width: int = 256, positions: int = 256) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.transformer = nn.Transformer(width, 8, 3, 3, 512, 0.1, batch_first=True)
        angles = torch.arange(positions)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
        self.register_buffer("places", torch.cat([angles.sin(), angles.cos()], 1))
        self.dropout = nn.Dropout(0.1)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """``[B, T] → [B, T, D]``."""
        scaled = self.embedding(ids) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(scaled + self.places[: ids.shape[1]])

    def forward(self, source: torch.Tensor, padding: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Logits ``[B, T, V]``; ``padding [B, S]`` is true where there is no token."""
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.bool)
        hidden = self.transformer(
            self.embed(source),
            self.embed(target),
            tgt_mask=causal,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return hidden @ self.embedding.weight.T


class System:
    """One way to train: a step over a batch, and the time and tokens of all its steps."""

    def __init__(self, step: Callable[[dict[str, Any]], Any]) -> None:
        self.step = step
        self.seconds = self.cpu = 0.0
        self.tokens = self.steps = 0
        self.rates: list[float] = []

    def run(self, batches: list[dict[str, Any]]) -> None:
        """Train on some batches."""
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            self.step(batch)
        self.note(time.perf_counter() - wall, time.process_time() - cpu, batches)

    def note(self, wall: float, cpu: float, batches: list[dict[str, Any]]) -> None:
        """Add a chunk."""
        tokens = sum(map(tokens_of, batches))
        self.seconds, self.cpu = self.seconds + wall, self.cpu + cpu
        self.tokens, self.steps = self.tokens + tokens, self.steps + len(batches)
        self.rates.append(tokens / cpu)


class TakeTurns(lightning.Callback):
    """After each chunk of ours, lets the others train theirs; stops when each has had its seconds."""

    def __init__(
        self, ours: System, others: Callable[[list[dict[str, Any]]], None], chunk: int, seconds: float
    ) -> None:
        self.ours, self.others, self.chunk, self.limit = ours, others, chunk, seconds
        self.batches: list[dict[str, Any]] = []
        self.warm = False

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock with the first batch of a chunk."""
        if not self.batches:
            self.wall, self.cpu = time.perf_counter(), time.process_time()
        self.batches.append(batch)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop it with the last."""
        if len(self.batches) < (self.chunk if self.warm else 2):
            return
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        batches, self.batches = self.batches, []
        if self.warm:
            self.ours.note(wall, cpu, batches)
        self.others(batches)
        self.warm = True
        trainer.should_stop = self.ours.seconds >= self.limit


def plain_step(executor: Any, model: Any, head: Any, precision: bool) -> Callable[[dict[str, Any]], None]:
    """Our model and loss, without Lightning."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)

    def step(batch: dict[str, Any]) -> None:
        names = ("input_ids", "attention_mask", "decoder_input_ids")
        with torch.autocast("cpu", torch.bfloat16, enabled=precision):
            inputs = {name: batch[name] for name in names}
            logits = head.logits(model, batch["positions"], **inputs, use_cache=False)
            loss = smoothed_cross_entropy(logits, batch["targets"], executor.label_smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def by_hand_step(model: HandWritten, precision: bool) -> Callable[[dict[str, Any]], None]:
    """nn.Transformer, logits at every position, torch's loss, Adam as it comes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)

    def step(batch: dict[str, Any]) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision):
            logits = model(batch["input_ids"], batch["attention_mask"] == 0, batch["decoder_input_ids"])
        loss = F.cross_entropy(logits.float().flatten(0, 1), batch["labels"].flatten(), label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def random_batches(rows: Any, executor: Any, size: int = 128) -> Iterator[dict[str, Any]]:
    """Batches at random, each padded to its longest pair, as seed 000 makes them."""
    columns = rows.with_format(None)[:]
    while True:
        order = torch.randperm(len(rows)).tolist()
        for start in range(0, len(order) - size, size):
            chosen = order[start : start + size]
            sides = [[torch.tensor(columns[name][row]) for row in chosen] for name in ("input_ids", "labels")]
            pad = executor.tokenizers.source.pad_token_id
            batch = {
                "input_ids": nn.utils.rnn.pad_sequence(sides[0], batch_first=True, padding_value=pad),
                "labels": nn.utils.rnn.pad_sequence(sides[1], batch_first=True, padding_value=-100),
            }
            yield executor._runway_complete(batch)


@torch.no_grad()
def translate_one(model: HandWritten, ids: list[int], start: int, end: int) -> list[int]:
    """Greedy, one sentence: encoded once, and all that is written decoded again for each token, as seed 000 does it."""
    transformer, found = model.transformer, [start]
    memory = transformer.encoder(model.embed(torch.tensor([ids])))
    while len(found) < LIMIT and (len(found) == 1 or found[-1] != end):
        causal = nn.Transformer.generate_square_subsequent_mask(len(found), dtype=torch.bool)
        hidden = transformer.decoder(model.embed(torch.tensor([found])), memory, tgt_mask=causal)
        found.append(int((hidden @ model.embedding.weight.T)[0, -1].argmax()))
    return found


def main() -> None:
    """Train in turns, decode, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="the folder with Multi30K's gz files")
    parser.add_argument("--seconds", type=float, default=60, help="training time of ours; the others get their share")
    parser.add_argument("--chunk", type=int, default=20, help="batches in a turn")
    parser.add_argument("--sentences", type=int, default=200, help="test sentences to decode in batches")
    parser.add_argument("--export", type=Path, help="decode with the weights of this exported model")
    parser.add_argument("--rows", type=int, help="train on so many pairs only")
    parser.add_argument("--opts", nargs="*", default=[], metavar="a.b=v", help="further overrides of the config")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    set_quiet(True)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, quiet_lightning():
        figures = measure(arguments, Path(folder))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures, printed as they come."""
    overrides = [f"data_path={arguments.data.resolve()}", f"meta.default_cache_dir={folder}", "train.batch_size=64"]
    if arguments.rows:
        overrides.append(f"dataset.rows={json.dumps({'train': arguments.rows})}")
    overrides += arguments.opts
    config = load_config(ROOT / "configs/translation/multi30k_de_en.jsonnet", overrides)
    config.train.optimizer_config.optimizer_params["lr"] = 5e-4
    config.train.optimizer_config["scheduler"] = None  # a constant rate for all
    pipeline = DataPipeline(config.data_pipeline, config, project=ROOT, quiet=True)
    pairs = pipeline.get_data([PAIRS], explode=True)
    executor = Seq2SeqExecutor(
        config.data_pipeline,
        config.model_config,
        "train",
        train_config=config.train,
        global_config=config,
        data_pipeline=pipeline,
        **config.executor.init_kwargs,
    )
    twin = Seq2SeqExecutor(
        None, config.model_config, "train", tokenizer=executor.tokenizers.source, label_smoothing=0.1
    )
    vocabulary = len(executor.tokenizers.source)
    by_hand, seed = HandWritten(vocabulary), HandWritten(vocabulary)
    precision = best_precision("cpu")
    half = precision == "bf16-mixed"
    systems = {
        "ours": System(lambda batch: None),
        PLAIN: System(plain_step(twin, twin.model, twin.head, half)),
        BY_HAND: System(by_hand_step(by_hand, half)),
        SEED: System(by_hand_step(seed, False)),
    }
    stream = random_batches(pairs["train"], executor)
    warm = []

    def others(batches: list[dict[str, Any]]) -> None:
        # Who comes after a large model finds cold caches: the plain loop is in turn the first and the last.
        order = [PLAIN, BY_HAND, SEED] if len(warm) % 2 else [BY_HAND, SEED, PLAIN]
        for name in order:
            system = systems[name]
            if warm and system.seconds >= 2 * arguments.seconds:
                continue
            mine = [next(stream) for _ in batches[::2]] if name == SEED else batches  # twice as many rows in each
            system.run(mine)
            if not warm:  # the first steps allocate memory; they do not count
                systems[name] = System(system.step)
        warm.append(True)

    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=1000,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=folder,
        logger=lightning.pytorch.loggers.CSVLogger(folder),
        log_every_n_steps=20,
        callbacks=[TakeTurns(systems["ours"], others, arguments.chunk, arguments.seconds)],
    )
    # Kernels are compiled for each new shape, and ours is always the first to see a batch: a model that is thrown away
    # has seen them before.
    spare = copy.deepcopy(twin)
    warm_up = System(plain_step(spare, spare.model, PackedHead(spare.model), half))
    for batch in executor.train_dataloader():
        warm_up.run([executor._runway_complete(batch)])
        if warm_up.seconds > arguments.seconds:
            break
    trainer.fit(executor)
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "precision": precision, "training": {}}
    print(f"training, {figures['threads']} threads, {precision}; tokens without padding")
    print(f"{'':28} {'steps':>6} {'tokens/s':>9} {'tokens/CPU s':>13} {'ratio of CPU':>13}")
    ours = systems["ours"].tokens / systems["ours"].cpu
    for name, system in systems.items():
        rate = system.tokens / system.cpu
        wall = system.tokens / system.seconds
        figures["training"][name] = {"steps": system.steps, "tokens_per_s": wall, "tokens_per_cpu_s": rate}
        print(f"{name:28} {system.steps:6} {wall:9.0f} {rate:13.0f} {ours / rate:12.2f}x")
    pairs_of_rates = zip(systems["ours"].rates, systems[PLAIN].rates, strict=False)  # the last turns of plain may lack
    overhead = sorted(plain / own - 1 for own, plain in pairs_of_rates)
    figures["overhead"] = overhead[len(overhead) // 2] if overhead else None
    if overhead:
        print(f"framework overhead, median over chunks: {figures['overhead']:+.1%}")
    figures["decoding"] = decode(arguments, executor, seed, pairs["test"])
    return figures


def decode(arguments: argparse.Namespace, executor: Any, seed: HandWritten, rows: Any) -> dict[str, Any]:
    """Sentences a second: ours in batches and one at a time, seed 000's one at a time."""
    from sacrebleu import corpus_bleu

    if arguments.export:
        exported = AutoModelForSeq2SeqLM.from_pretrained(arguments.export, local_files_only=True)
        executor.model.load_state_dict(exported.state_dict())
    count = min(arguments.sentences, len(rows))
    chosen = rows.with_format(None)[:count]
    sources, references = chosen["input_ids"], chosen["target"]
    executor.eval()
    seed.eval()
    ends = executor.tokenizers.target.eos_token_id
    # What is timed, for every `step`th sentence: of a sample over the whole where it goes one by one.
    systems: dict[str, tuple[Callable[[list[list[int]]], list[str]], int]] = {
        "ours, greedy": (lambda ids: in_batches(executor, ids, {"num_beams": 1}), 1),
        "ours, beam 4": (lambda ids: in_batches(executor, ids, {"num_beams": 4}), 1),
        ONE_AT_A_TIME: (lambda ids: in_batches(executor, ids, {"num_beams": 1, "use_cache": False}, 1), 4),
        SEED: (lambda ids: [one_by_one(executor, seed, row, ends) for row in ids], 4),
    }
    found: dict[str, Any] = {}
    print(f"decoding {count} sentences of the test split (one at a time: every fourth)")
    for name, (translate, step) in systems.items():
        started, cpu = time.perf_counter(), time.process_time()
        texts = translate(sources[::step])
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        bleu = corpus_bleu(texts, [references[::step]]).score
        found[name] = {"per_s": len(texts) / wall, "per_cpu_s": len(texts) / cpu, "bleu": bleu, "texts": texts}
        print(f"{name:30} {len(texts) / wall:8.1f} sentences/s {len(texts) / cpu:8.1f} a CPU s   BLEU {bleu:5.2f}")
    in_batch = found["ours, greedy"]
    same = sum(map(str.__eq__, in_batch["texts"][::4], found[ONE_AT_A_TIME]["texts"]))
    print(f"the same hypotheses in batches and one at a time: {same} of {len(found[ONE_AT_A_TIME]['texts'])}")
    for key, other in (("ratio", ONE_AT_A_TIME), ("ratio_to_seed", SEED)):
        found[key] = in_batch["per_cpu_s"] / found[other]["per_cpu_s"]
        by_clock = in_batch["per_s"] / found[other]["per_s"]
        print(f"greedy in batches over {other}: {by_clock:.1f}x by the clock, {found[key]:.1f}x by CPU time")
    return {name: {**value, "texts": None} if isinstance(value, dict) else value for name, value in found.items()}


def in_batches(executor: Any, sources: list[list[int]], params: dict[str, Any], size: int = 64) -> list[str]:
    """Hypotheses of the executor, for batches of sentences of similar length."""
    executor.generation = Generation(params, executor.model.generation_config, positions=executor.positions)
    pad = executor.tokenizers.source.pad_token_id
    order = sorted(range(len(sources)), key=lambda row: -len(sources[row]))
    texts = [""] * len(sources)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        batch = [torch.tensor(sources[row]) for row in rows]
        ids = nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=pad)
        hypotheses = executor.translate_batch({"input_ids": ids, "attention_mask": (ids != pad).long()})
        for row, text in zip(rows, hypotheses, strict=True):
            texts[row] = text
    return texts


def one_by_one(executor: Any, seed: HandWritten, source: list[int], end: int) -> str:
    """A hypothesis in seed 000's way."""
    tokens = translate_one(seed, source, executor.start_id, end)
    return executor.tokenizers.target.decode(tokens, skip_special_tokens=True)


if __name__ == "__main__":
    main()
