// Two functions made of sines, learned from noisy samples by one small network with a head for each. In seconds.
//
//   runway run configs/multi_task/composite_sine.jsonnet
//   ... model_config.shared=false            a network each
//   ... train.mixing.sampling=uniform        as many batches of the small task as of the large one
local multi_task_eval = import 'runway/multi_task_eval.libsonnet';

local samples(config, frequencies, rows, seed) = {
  transform_name: 'SampleCompositeSine',  // the demo's own: src/data_ops/composite_sine.py
  setup_kwargs: {
    frequencies: frequencies,
    rows: { train: rows, valid: 200, test: 200 },
    noise: config.dataset.noise,
    seed: seed,
  },
  cache: true,
};

{
  experiment_name: 'composite_sine',
  meta: { EXPERIMENT_FOLDER: 'experiments/multi_task', seed: 4, logger_enable: ['csv', 'metrics_history'] },

  dataset: { noise: 0.1 },

  data_pipeline: {
    transforms: {
      'output:Slow': samples($, [0.5, 1], 800, seed=1),
      'output:Fast': samples($, [0.5, 2], 200, seed=2),
    },
  },

  // Each task: its data, its head, its loss, its metrics, its weight.
  tasks: {
    slow: {
      data_node: 'output:Slow',
      inputs: 'x',
      label_column: 'y',
      head: 'regression',
      metrics: ['mse', 'r_squared'],
    },
    fast: self.slow {
      data_node: 'output:Fast',
      loss: { name: 'huber_loss', kwargs: { delta: 0.5 } },
      weight: 2,
    },
  },

  model_config: {
    encoder: 'mlp',
    encoder_kwargs: { hidden: [64, 64], activation: 'Tanh' },
    shared: true,
  },

  executor: { ExecutorClass: 'MultiTaskExecutor' },

  // Settings are given once, or per task.
  train: {
    batch_size: { slow: 40, fast: 20 },
    mixing: { sampling: 'round_robin', batches: 'mixed' },
    optimizer_config: {
      optimizer_name: 'Adam',
      optimizer_params: { lr: { shared: 0.01, slow: 0.01, fast: 0.02 } },
      scheduler: 'cosine',
    },
    trainer_paras: {
      max_epochs: 30,
      accelerator: 'cpu',
      check_val_every_n_epoch: 5,
      num_sanity_val_steps: 0,
      log_every_n_steps: 10,
    },
    model_checkpoint_callback_paras: { monitor: 'val_mean_r_squared', save_top_k: 1, save_last: true },
  },

  test: { batch_size: 200, trainer_paras: { accelerator: 'cpu' } },

  eval: { test_eval_pipeline_config: multi_task_eval.test($.tasks) },
}
