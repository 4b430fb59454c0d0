#!/usr/bin/env bash
# Run a demo experiment from raw data to a table of test metrics and a report; where that is is printed at the end.
#
#   ./run_experiment.sh [imdb|translation] [key=value …]      the rest goes to --opts of every step: train.batch_size=16
#
# EXPERIMENT_NAME in the environment names the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

DEMO=imdb
if [[ $# -gt 0 && "$1" != *=* && "$1" != "~"* ]]; then
    DEMO="$1"
    shift
fi
case "$DEMO" in
    imdb)
        CONFIG="configs/imdb_classification/exp_config.jsonnet"
        DATA_NODE="output:MakeImdbDataloaders"
        ;;
    translation)
        CONFIG="configs/translation/bible_de_en.jsonnet"
        DATA_NODE="output:MakePairDataloaders"
        ;;
    *)
        echo "unknown demo '$DEMO'; there are: imdb, translation" >&2
        exit 2
        ;;
esac
EXPERIMENT_NAME="${EXPERIMENT_NAME:-${DEMO}_demo}"
FOLDER="experiments/$DEMO"
for override in "$@"; do
    if [[ "$override" == meta.EXPERIMENT_FOLDER=* ]]; then FOLDER="${override#*=}"; fi
done

PYTHON="$(scripts/setup_env.sh)"
PATH="$(dirname "$PYTHON"):$PATH"

# The pipeline ends in a breakpoint for people who look at the data; with no terminal on its input it prints and goes on.
python src/main.py \
    --config "$CONFIG" \
    --experiment_name "$EXPERIMENT_NAME" \
    --mode 'prepare_data' \
    --opts \
    meta.EXPERIMENT_FOLDER="experiments/$DEMO" \
    "$@" < /dev/null

python src/main.py \
    --config "$CONFIG" \
    --experiment_name "$EXPERIMENT_NAME" \
    --mode 'train' \
    --opts \
    meta.EXPERIMENT_FOLDER="experiments/$DEMO" \
    executor.init_kwargs.use_data_node="$DATA_NODE" \
    "$@"

python src/main.py \
    --config "$CONFIG" \
    --experiment_name "$EXPERIMENT_NAME" \
    --mode 'test' \
    --opts \
    meta.EXPERIMENT_FOLDER="experiments/$DEMO" \
    executor.init_kwargs.use_data_node="$DATA_NODE" \
    "$@"

# One page that shows the run; its path.
python -m runway report "$EXPERIMENT_NAME" --folder "$FOLDER"
