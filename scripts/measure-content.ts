// Says how well the content rules do on the labelled lines in test/fixtures/content. npm run content:measure [-- --lines]
import { scoreAll } from '../test/support/content-scores.ts';

const percent = (share: number) => `${(share * 100).toFixed(1)} %`.padStart(8);

console.log('category          positives  benign  precision    recall');
for (const score of scoreAll()) {
  const { category, positives, negatives, precision, recall } = score;
  console.log(
    `${category.padEnd(18)}${String(positives).padStart(9)}${String(negatives).padStart(8)}   ${percent(precision)}  ${percent(recall)}`,
  );
  if (!process.argv.includes('--lines')) continue;
  for (const line of score.missed) console.log(`  missed  ${JSON.stringify(line)}`);
  for (const line of score.wrong) console.log(`  wrong   ${JSON.stringify(line)}`);
}
