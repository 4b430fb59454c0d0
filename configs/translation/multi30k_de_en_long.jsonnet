// The same model and data for longer: more dropout against learning the photographs by heart, and the mean of the last
// weights. Everything else is multi30k_de_en's.
(import 'multi30k_de_en.jsonnet') + {
  experiment_name+: '_long',

  model_config+: {
    from_config_kwargs+: { dropout: 0.2 },
  },

  executor+: {
    init_kwargs+: { average_last: 3 },
  },

  train+: {
    trainer_paras+: { max_epochs: 14 },
  },
}
