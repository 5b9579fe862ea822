/** What becomes of an answer that is not what its tool promises, from the mildest to the strictest. */
export const answerActions = ['off', 'flag', 'block'] as const;
export type AnswerAction = (typeof answerActions)[number];

/** Of what several scopes say: what is written nearer cannot exempt from what holds everywhere. */
export function strictestAnswers(policies: readonly { readonly answers?: AnswerAction | undefined }[]): AnswerAction {
  const said = policies.flatMap(({ answers }) => (answers === undefined ? [] : answerActions.indexOf(answers)));
  return answerActions[Math.max(...said)] ?? 'flag';
}
