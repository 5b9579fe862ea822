import type { ModelRecords } from './ports/model-records.ts';
import { storableText } from './storable-text.ts';

/** Notes of ratings may be so long. Names are shorter. */
const longestText = 2_000;

/** The same records, of which no text fails a whole batch, and no question that is asked with one. */
export function withStorableTexts(records: ModelRecords): ModelRecords {
  return {
    ...records,
    sumCalls: ({ filters, ...query }) => records.sumCalls({ ...query, filters: texts(filters ?? {}) }),
    addAnswers: (answers) => records.addAnswers(answers.map(texts)),
    findAnswer: (id) => records.findAnswer(storableText(id, longestText)),
    rate: (rating) => records.rate(texts(rating)),
    sumRatings: (model, fromMs, toMs, consumer) =>
      records.sumRatings(
        storableText(model, longestText),
        fromMs,
        toMs,
        consumer === undefined ? undefined : storableText(consumer),
      ),
    claimAlert: (event) => records.claimAlert(texts(event)),
    addFailovers: (events) => records.addFailovers(events.map(texts)),
    listFailovers: (query) => records.listFailovers(texts(query)),
  };
}

/** With every member that is a text made fit. */
function texts<Row extends object>(row: Row): Row {
  const fit = Object.entries(row).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, storableText(value, longestText)] as const] : [],
  );
  return { ...row, ...Object.fromEntries(fit) };
}
