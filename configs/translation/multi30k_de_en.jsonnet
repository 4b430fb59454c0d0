// Descriptions of photographs, German to English: 29,000 pairs, from the hub.
//
//   runway train configs/translation/multi30k_de_en.jsonnet
//   ... data_path=data/multi30k      a folder with train.de.gz, train.en.gz, val.*.gz, test_2016_flickr.*.gz
//   ... train.batch_size=128 train.optimizer_config.optimizer_params.lr=5e-4      as FluidML's example has it
//
// Another language is `dataset.source_lang=fr` with a folder that has it.
local translation = import 'runway/translation.libsonnet';

translation.experiment {
  experiment_name: 'transformer-multi30k_%s_%s' % [$.dataset.source_lang, $.dataset.target_lang],

  dataset+: {
    source_lang: 'de',
    target_lang: 'en',
    load: if $.data_path == null then {
      dataset_name: 'bentrevett/multi30k',
      splits: { train: 'train', valid: 'validation', test: 'test' },
    } else {
      [if std.isString($.data_path) then 'splits']: { train: 'train', valid: 'val', test: 'test_2016_flickr' },
    },
  },

  tokenizer+: { vocab_size: 7000 },

  // Each metric also for short and long sentences: four parts of as many, by the words of the source.
  eval+: { slices: [{ length: 'source' }] },
}
