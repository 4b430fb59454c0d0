// what both experiments share, as the original's demos have it
local meta = {
  DATA_FOLDER: 'data',
  EXPERIMENT_FOLDER: 'experiments/',
  TENSORBOARD_FOLDER: '',
  default_cache_dir: 'cache/',
  cuda: 0,
  gpu_device: 0,
  platform_type: 'pytorch',
  ignore_pretrained_weights: [],
  logger_enable: ['csv'],
  WANDB: { CACHE_DIR: 'wandb', entity: 'someone', project: 'reviews', tags: [] },
  seed: 7,
};

local data_pipeline = {
  name: 'ReviewPipeline',
  regenerate: false,
  do_inspect: true,
  transforms: {
    'input:LoadReviews': {
      transform_name: 'LoadReviews',
      setup_kwargs: { num_rows: 24 },
      cache: true,
      regenerate: false,
    },
    'process:Encode': {
      input_node: 'input:LoadReviews',
      transform_name: 'EncodeReviews',
      setup_kwargs: { rename_col_dict: { label: 'labels' }, length: 5, _num_proc: 1 },
      cache: true,
      regenerate: false,
    },
    'output:Wrap': {
      input_node: ['process:Encode'],
      transform_name: 'WrapData',
      setup_kwargs: { keep: ['input_ids', 'attention_mask', 'labels'] },
      cache: false,
      regenerate: true,
    },
  },
};

local train = {
  batch_size: 4,
  num_dataloader_workers: 0,
  weight_decay: 0.01,
  trainer_paras: {
    max_epochs: 2,
    accelerator: 'cpu',
    devices: 1,
    log_every_n_steps: 2,
    check_val_every_n_epoch: 1,
    num_sanity_val_steps: 0,
    enable_progress_bar: false,
  },
  model_checkpoint_callback_paras: { monitor: 'train_loss', save_top_k: 1, save_last: true, mode: 'min' },
  optimizer_config: {
    optimizer_name: 'AdamW',
    optimizer_params: { lr: 0.01 },
    head_lr: 0.02,
    scheduler: 'none',
  },
};

{ meta: meta, data_pipeline: data_pipeline, train: train }
