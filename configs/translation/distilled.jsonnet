// A small student that learns from the translations of a trained run (sequence-level distillation, Kim & Rush 2016),
// on the data of bible_de_en:
//
//   runway train configs/translation/bible_de_en.jsonnet                                   the teacher
//   runway run configs/translation/distilled.jsonnet                                       the student
//   runway run configs/translation/distilled.jsonnet teacher.run=null                      the same without the teacher
//   ... teacher.best_by=val_loss            the best of the teacher's versions, or teacher.run=experiments/…/NAME_V3
//
// `process:Translate` is a node as others are: it is computed once for a teacher's weights and these sources.
(import 'distilled.libsonnet')(import 'bible_de_en.jsonnet')
