// Where things go and who watches: the `meta` section. What is not said here has the defaults of
// runway/meta.libsonnet.
local defaults = import 'runway/meta.libsonnet';

local default_meta = defaults {
  EXPERIMENT_FOLDER: 'experiments/imdb_classification',
  default_cache_dir: 'cache/',
  seed: 615926,
  logger_enable: ['csv', 'tensorboard', 'metrics_history'],
  // Runs go to Weights & Biases with `meta.logger_enable=[csv, wandb]`; without an API key they are kept offline.
  WANDB: {
    CACHE_DIR: 'cache/wandb',
    project: 'runway-imdb',
    tags: ['imdb'],
  },
};

{
  default_meta: default_meta,
}
