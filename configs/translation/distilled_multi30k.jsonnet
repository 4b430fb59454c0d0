// distilled.jsonnet on the data of multi30k_de_en: the student learns from the translations of a run of that.
//
//   runway train configs/translation/multi30k_de_en.jsonnet data_path=data/multi30k             the teacher
//   runway run configs/translation/distilled_multi30k.jsonnet data_path=data/multi30k           the student
//   ... teacher.run=null                                                                        without the teacher
(import 'distilled.libsonnet')(import 'multi30k_de_en.jsonnet')
