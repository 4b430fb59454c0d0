// A cut that takes seconds, to see whether all of it runs: `runway run configs/imdb_classification/exp_config.jsonnet
// --with size/tiny`. What it does not set stays, and what derives from what it sets follows.
{
  experiment_name: super.experiment_name + '_tiny',
  dataset+: { one_in: 20, train_rows: 160, valid_rows: 40, test_rows: 40, max_length: 64 },
}
