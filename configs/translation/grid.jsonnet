// Which learning rate and batch size translate best? Four trainings, the best on validation is chosen and tested.
//
//   runway sweep configs/translation/grid.jsonnet                the grid of FluidML's example
//   ... --seeds 3 --parallel 4                                   three seeds each, four trainings at a time
//   ... --grid train.batch_size=32,64,128                        a value more: only what is new runs
//   ... --tpe 20 --grid 'train.optimizer_config.optimizer_params.lr={low: 1e-4, high: 3e-3, log: true}'
//
// The tokenizer is trained and the verses are encoded once, however many trainings want them.
(import 'bible_de_en.jsonnet') + {
  experiment_name: 'grid-%s' % super.experiment_name,

  sweep: {
    method: 'grid',
    parameters: {
      'train.optimizer_config.optimizer_params.lr': [5e-4, 1e-3],
      'train.batch_size': [64, 128],
    },
    metric: 'val_loss',
    mode: 'min',
    test: 'best',
  },

  train+: { trainer_paras+: { max_epochs: 10 } },
}
