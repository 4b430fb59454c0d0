// English to Romanian, WMT 2016, from the hub: T5's tokenizer, 50 tokens of each side, and T5-small fine-tuned.
//
//   runway train configs/translation/wmt16_ro_en.jsonnet
//   ... from_scratch=true                   T5-small's tokenizer, and a transformer from random weights
//   ... dataset.rows='{train: 100}'         a hundred pairs, for a look
//   ... dataset.source_lang=ro dataset.target_lang=en
//   ... data_path=data/wmt16_ro_en          a folder that `save_to_disk` or the hub's files made
//   ... pretrained=models/mine              another model, of the hub or a folder
local translation = import 'runway/translation.libsonnet';

local names = { de: 'German', en: 'English', fr: 'French', ro: 'Romanian' };  // the languages that T5 was trained with
local name(language) = std.get(names, language, language);

translation.experiment {
  experiment_name: 't5_small-wmt16_%s_%s' % [$.dataset.source_lang, $.dataset.target_lang],
  pretrained: 't5-small',
  from_scratch: false,

  dataset+: {
    source_lang: 'en',
    target_lang: 'ro',
    load: {
      [if $.data_path == null then 'dataset_name']: 'wmt16',
      [if $.data_path == null then 'subset']: 'ro-en',
      [if $.data_path == null || std.isString($.data_path) then 'splits']: {
        train: 'train',
        valid: 'validation',
        test: 'test',
      },
    },
    rows: { train: 100000 },
    max_tokens: 50,
    on_too_long: 'truncate',
    source_prefix: if $.from_scratch then '' else
      'translate %s to %s: ' % [name($.dataset.source_lang), name($.dataset.target_lang)],
  },

  tokenizer_config: { version_name: $.pretrained },

  model_config+: {
    [if !$.from_scratch then 'from_pretrained_kwargs']: { pretrained_model_name_or_path: $.pretrained },
  },

  train+: {
    batch_size: 16,
    trainer_paras+: { max_epochs: 1 },
    optimizer_config+: {
      optimizer_params+: { lr: if $.from_scratch then 5e-4 else 1e-4 },
    },
  },

  // Each metric also for short and long sentences: four parts of as many, by the words of the source.
  eval+: { slices: [{ length: 'source' }] },
}
