// Short sentences of the Tatoeba project, English to French, with a unigram tokenizer of sentencepiece. The table is
// fra.txt out of fra-eng.zip, which manythings.org/anki has; its columns are English, French and who wrote them.
//
//   runway train configs/translation/tatoeba_en_fr.jsonnet data_path=data/fra.txt
//
// Another language is its table: data_path=data/deu.txt dataset.target_lang=de
local translation = import 'runway/translation.libsonnet';

translation.experiment {
  experiment_name: 'transformer-tatoeba_%s_%s' % [$.dataset.source_lang, $.dataset.target_lang],
  data_path: 'data/fra.txt',

  dataset+: {
    source_lang: 'en',
    target_lang: 'fr',
    load: { columns: [0, 1] },
    // A sentence has many translations: all of them are on one side.
    split: {
      transform_name: 'SplitHFDatasetToTrainTestValidation',
      setup_kwargs: {
        test_size: 0.01,
        valid_size: 0.01,
        valid_split: 'valid',
        group_column: 'source',
        train_test_split_kwargs: { seed: 2022 },
      },
    },
    max_tokens: 64,
  },

  tokenizer+: {
    algorithm: 'unigram',
    library: 'sentencepiece',
    vocab_size: 5000,
  },

  model_config+: {
    from_config_kwargs+: {
      d_model: 128,
      encoder_layers: 4,
      decoder_layers: 4,
      encoder_ffn_dim: 512,
      decoder_ffn_dim: 512,
    },
  },

  // Each metric also for short and long sentences: four parts of as many, by the words of the source.
  eval+: { slices: [{ length: 'source' }] },
}
