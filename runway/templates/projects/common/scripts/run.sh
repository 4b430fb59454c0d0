#!/usr/bin/env bash
# Prepare the data, train, test, and write the report; arguments are overrides: scripts/run.sh train.batch_size=16
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runway run configs/exp_config.jsonnet "$@"
runway report
