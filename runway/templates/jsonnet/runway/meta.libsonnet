// What `meta` holds where a config does not say otherwise. load_config puts it under every config, so a
// config needs no meta at all; import it to build on it by hand:
//
//   local meta = import 'runway/meta.libsonnet';
//   { meta: meta { seed: 615926, logger_enable: ['csv', 'wandb'], WANDB: { project: 'imdb' } } }
{
  // Seeds Python, numpy and torch before a model is built. (Data nodes are seeded from their own keys.)
  seed: 2022,

  // Where cached data lives: a folder, relative to the project, or any fsspec URL (s3://bucket/cache).
  default_cache_dir: 'cache/',

  // Where runs go: <EXPERIMENT_FOLDER>/<experiment_name>_V<k>/{train,test}/.
  EXPERIMENT_FOLDER: 'experiments/',

  // Any of csv, tensorboard, wandb, metrics_history.
  logger_enable: ['csv'],

  // Keyword arguments for wandb: entity, project, tags, ... and CACHE_DIR, where it keeps its files.
  WANDB: {},

  // Third-party packages whose version counts in every cache key, e.g. ['tokenizers'].
  cache_versions: [],

  // Further modules of the user's to import, beside those in src/data_ops, src/executors and src/models.
  user_modules: [],

  // Packages that the config may name (`transform_name: 'package.module:Class'`, user_modules), beside the project, runway
  // and installed plugins. Naming one has its code imported, by `runway plan` too.
  trusted_packages: [],
}
