// What experiments have in common: the sections `train` and `test`.
//
//   local experiment = import 'runway/experiment.libsonnet';
//   experiment.base(name='reviews', epochs=3, lr=2e-5, monitor='accuracy') { data_pipeline: ..., executor: ... }
//
// It is an object like any other: change any part of it with `+:`, or with an override on the command line.

// The arguments, all by name:
//   name: of the run folders
//   epochs, batch_size, lr, weight_decay: of the training; the test's batches are twice as large
//   optimizer, scheduler, warmup: by name; the warm-up is a part of all steps
//   monitor, mode: which metric chooses the checkpoint and stops early, and whether 'min' or 'max' of it is best
//   patience: validations without progress before it stops early; null: it does not
local base(
  name='experiment',
  epochs=3,
  batch_size=32,
  lr=1e-3,
  weight_decay=0.01,
  optimizer='AdamW',
  scheduler='linear',
  warmup=0.1,
  monitor='val_loss',
  mode=if monitor == 'val_loss' then 'min' else 'max',
  patience=3,
) = {
  experiment_name: name,
  test_suffix: 'default_test',

  train: {
    batch_size: batch_size,
    dataloader_workers: 0,
    trainer_paras: {
      max_epochs: epochs,
      accelerator: 'auto',
      devices: 1,
      precision: 'auto',  // bf16-mixed where the hardware has it
      log_every_n_steps: 10,
      check_val_every_n_epoch: 1,
      num_sanity_val_steps: 0,
    },
    model_checkpoint_callback_paras: {
      monitor: monitor,
      mode: mode,
      save_top_k: 1,
      save_last: true,
      filename: 'model_step_{step}',
      auto_insert_metric_name: false,
    },
    [if patience != null then 'early_stopping_callback_paras']: {
      monitor: $.train.model_checkpoint_callback_paras.monitor,
      mode: $.train.model_checkpoint_callback_paras.mode,
      patience: patience,
    },
    optimizer_config: {
      optimizer_name: optimizer,
      optimizer_params: { lr: lr, weight_decay: weight_decay },
      [if scheduler != null then 'scheduler']: scheduler,
      [if scheduler != null then 'scheduler_params']: { warmup_ratio: warmup },
    },
  },

  test: {
    checkpoint_name: null,  // a file in saved_models/; null takes the best, or the last
    load_best_model: true,
    batch_size: 2 * $.train.batch_size,
    dataloader_workers: $.train.dataloader_workers,
    trainer_paras: {
      accelerator: $.train.trainer_paras.accelerator,
      devices: 1,
      precision: $.train.trainer_paras.precision,
    },
  },
};

{ base:: base }
