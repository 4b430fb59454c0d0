// Evaluation pipelines for translation, over the EvalRecorder that a Seq2SeqExecutor leaves:
//
//   local evaluation = import 'runway/translation_eval.libsonnet';
//   { eval: { test_eval_pipeline_config: evaluation.test() } }
//
// A validation needs none: val_loss and val_perplexity are logged without. Where it decodes too
// (executor.init_kwargs.generate_in_validation), `valid_eval_pipeline_config: evaluation.validation()` adds
// sacrebleu and chrf, for `monitor: 'sacrebleu'` with `mode: 'max'`; runway/translation.libsonnet does so by itself.
//
// BLEU's tokenizer is sacreBLEU's for the config's `dataset.target_lang`; where the config has none, say
// `evaluation.test({ target_lang: 'zh' })`.
{
  local score(name, metrics) = {
    'input:GetEvaluationRecorder': {
      transform_name: 'GetEvaluationRecorder',
      setup_kwargs: {},
    },
    [name]: {
      input_node: 'input:GetEvaluationRecorder',
      transform_name: 'EvaluateTranslations',
      setup_kwargs: metrics,
    },
  },

  // After each validation that decodes: the corpus scores.
  //   metrics: setup_kwargs of EvaluateTranslations
  validation(metrics={}):: {
    name: 'TranslationValidEvalPipeline',
    transforms: score('output:EvaluateTranslations', { loss: null } + metrics),  // val_loss is there already
  },

  // After a test: the corpus scores, BLEU for each sentence, the recorder saved with them, a table of the worst
  // translations saved beside it, and scores and samples on the screen.
  //   metrics: setup_kwargs of EvaluateTranslations
  //   num_rows: how many samples are shown
  //   sort_by, lowest_first: in which order; sort_by=null for the first of the data
  //   spread: whether they are taken from all over that order, from its first to its last, or are its first
  //   upload: whether the samples go to wandb as well
  test(metrics={}, num_rows=5, sort_by='sentence_bleu', lowest_first=true, spread=true, upload=false):: {
    local columns = ['source', 'reference', 'hypothesis', 'sentence_bleu'],
    name: 'TranslationTestEvalPipeline',
    transforms: score('process:EvaluateTranslations', metrics) {
      'process:AddSentenceBleu': {
        input_node: 'process:EvaluateTranslations',
        transform_name: 'AddSentenceBleu',
        setup_kwargs: { [key]: metrics[key] for key in ['lowercase', 'tokenize', 'target_lang'] if std.objectHas(metrics, key) },
      },
      'process:MergeAllEvalRecorderAndSave': {
        input_node: ['process:AddSentenceBleu'],
        transform_name: 'MergeAllEvalRecorderAndSave',
        setup_kwargs: { eval_recorder_prefix: null },
      },
      'process:SaveWorstSamples': {
        input_node: 'process:MergeAllEvalRecorderAndSave',
        transform_name: 'SaveWorstSamples',
        setup_kwargs: { columns: columns },
      },
      'output:DisplayEvalResults': {
        input_node: 'process:SaveWorstSamples',
        transform_name: 'DisplayEvalResults',
        setup_kwargs: {
          columns: columns,
          num_rows: num_rows,
          sort_by: sort_by,
          lowest_first: lowest_first,
          spread: spread,
        },
      },
      [if upload then 'output:UploadEvalRecorderToWandb']: {
        input_node: 'process:SaveWorstSamples',
        transform_name: 'UploadEvalRecorderToWandb',
        setup_kwargs: { columns_to_log: columns },
      },
    },
  },
}
