// All 25,000 reviews, and any model of the hub: for a GPU. Everything else is exp_config's.
//
//   runway train configs/imdb_classification/full_config.jsonnet
//   ... dataset.source=hub         IMDb's own test split of 25,000 reviews, from the hub
//   ... model_config.from_pretrained_kwargs.pretrained_model_name_or_path=roberta-base
(import 'exp_config.jsonnet') + {
  experiment_name: 'distilbert-imdb_classification',

  dataset+: {
    one_in: 1,
    train_rows: null,  // all that the other splits leave
    valid_rows: 1000,
    test_rows: if self.source == 'hub' then null else 5000,
    max_length: 512,
  },

  model_config: {
    from_pretrained_kwargs: {
      pretrained_model_name_or_path: 'distilbert-base-uncased',
      num_labels: 2,
    },
  },

  train+: {
    dataloader_workers: 4,
    trainer_paras+: {
      max_epochs: 3,
      accelerator: 'gpu',
    },
    optimizer_config+: {
      optimizer_params+: { lr: 2e-5 },
    },
  },
}
