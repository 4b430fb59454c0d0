"""The names of what stands in an experiment's folder; nothing else of runway spells them."""

from __future__ import annotations

# A version: <name>_V<k>, or <name>_V<k>_tag:<tag>+<tag>
TRAIN = "train"
TEST = "test"  # in it one folder for each test_suffix
WANDB = "wandb.json"
REPORT = "report.html"

# A stage, which is `train` or a test
CONFIG = "config.json"
RESUME_CONFIG = "config.resume-{}.json"  # of a training that goes on: 1, 2, …
PROVENANCE = "provenance.json"
GIT_DIFF = "git_diff.patch"
LINEAGE = "lineage.json"  # of each data node its key, and what that is made of
RUN_LOG = "run.log"
LOGS = "logs"
METRICS_HISTORY = "metrics_history.json"

# A training
SAVED_MODELS = "saved_models"
CHECKPOINT_SUFFIX = ".ckpt"
LAST_CHECKPOINT = "last.ckpt"
FIRST_CHECKPOINT = ".first"  # written and read back before the first step
CHECKPOINT_INDEX = "checkpoints.json"
RECORDERS = "recorders"
MODEL_SUMMARY = "model_summary.txt"
DATA_STATISTICS = "data_statistics.json"
TIMINGS = "timings.json"
TOKENIZER = "tokenizer"

# A test
EVALUATION = "evaluation.json"  # the pipeline that made the metrics, and its code
METRICS = "metrics.json"
TEST_RECORDER = "test-evaluation"

# Hidden, in a version
REPLACES = ".replaces"  # the folder in which --reset keeps the earlier versions until this one has a checkpoint
