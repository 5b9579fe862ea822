import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { foldText } from '../../src/content/fold.ts';
import { categories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { screenValue } from '../support/screen-at-once.ts';

// One megabyte takes the slowest rule some 100 ms on an idle machine; a rule that is not linear takes minutes.
const limitMs = 1500;
const rules = await loadRules(categories);
const megabyte = 1024 * 1024;

/** Pieces that patterns begin with: repeated, each is a beginning after a beginning that never ends. */
const pieces = [
  ...[
    'a',
    'A',
    '1',
    ' ',
    '-',
    '.',
    '@',
    '/',
    '=',
    '"',
    '\n',
    '<',
    '%41',
    '0 ',
    '1-',
    '(',
    '+1',
    '+1 2',
    'a@',
    'a.',
    '@a.',
    'a@a.',
    'ä',
    'а',
    'aа',
  ],
  ...[
    'gh_',
    'gh_a',
    'ghp_',
    'AKIA',
    'A',
    'xoxb-1',
    'sk-',
    'sk-ant-a-',
    'sk_live_',
    'AIza',
    'ya29.',
    'npm_',
    'SG.',
    'eyJ',
    'eyJaaaaaaaaaa.',
    'hf_',
  ],
  ...[
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN A A A ',
    '://',
    '://a:',
    '://a:b',
    'bearer ',
    'basic aaaaaaaaaaaaaaaa',
    'token',
    'token=',
    'token: a1',
  ],
  ...['api_key=', 'page_token', 'secret_access_key=', 'password', 'password=', 'password: aA1', 'mot de passe '],
  ...[
    '4111 ',
    '4111 1111 1111 1111 ',
    '4111-',
    '411111111111111',
    '3782 822463 1000',
    'DE89',
    'DE89 3704 ',
    'GB29 NWBK 6016 1331 9268 1',
    '123-45-',
    '01-',
    '(212) 555-',
    '0711/',
    '65 929 970 48',
  ],
  ...[
    'ignore ',
    'ignore all previous ',
    'forget. ',
    'instructions ',
    'you are now ',
    'act as ',
    'pretend to be no ',
    'send ',
    'send key ',
    'not ',
    'do not tell ',
    'call ',
    'call tool ',
  ],
  ...[
    '![',
    '![]',
    '![](',
    '![](http://',
    '![](http://a?data=',
    '<img ',
    '<img src=',
    '<|im_start|>',
    '[INST]',
    '<tool_call>',
    '</tool_call> ',
    '"method":',
    '忽略',
    '이전지시',
    '以前の指示',
    'تجاهل ',
    'सभी निर्देश',
  ],
  ...[
    '\u200b',
    'a\u200b',
    'a\u00ad',
    '\u200d',
    '\u202e',
    '\ufe0f',
    '\u{e0041}',
    '\u{1f3f4}\u{e0041}',
    '\u001b',
    '\u001b[',
    '\u001b[1;',
    '\b',
    '<!--',
    '<!-- must ',
    '<a style=display:none ',
    '<a ',
    'a          ',
    `a${' '.repeat(80)}`,
    `a${'\n '.repeat(25)}`,
  ],
  ...[
    'how ',
    'how to ',
    'i ',
    'i will ',
    'write ',
    'you are a ',
    'the ',
    'all jews are ',
    'child ',
    'sex ',
    'kill all ',
    'kill the ',
    'comment a ',
  ],
];

function millisecondsOf(work: () => void): number {
  const startMs = cpuMs();
  work();
  return cpuMs() - startMs;
}

describe('content rules on hostile text', () => {
  test.each(rules.map((rule) => [rule.id, rule] as const))('%s takes linear time', (id, rule) => {
    const size = process.env.TEST_LONG === undefined ? megabyte / 16 : megabyte;
    const slowest = pieces.map((piece) => {
      const view = foldOnce(piece, size);
      return [millisecondsOf(() => rule.find(view, () => false)), piece] as const;
    });
    const [worstMs, piece] = slowest.reduce((a, b) => (b[0] > a[0] ? b : a));
    if (process.env.SHOW !== undefined) console.log(id, worstMs.toFixed(1), JSON.stringify(piece));
    expect(worstMs, `${id} on ${JSON.stringify(piece)}`).toBeLessThan((limitMs * size) / megabyte + 100);
  });
});

describe('a whole check on hostile text', () => {
  const check = makeCategoryCheck('in', categories, 'redact');

  test.each([
    ...[
      'gh_',
      'ignore ',
      'a@',
      '4111 ',
      'eyJaaaaaaaaaa.',
      '\u001b',
      'ä',
      'aа',
      '%41',
      'aWdub3JlIGFsbCBwcmV2',
      '忽略',
      `token=${'k3J9x2Lm8Qw4Zt7V'} `,
    ],
  ])('a quarter of a megabyte of %j is judged in linear time', (piece) => {
    const value = { text: piece.repeat(Math.ceil(megabyte / 4 / piece.length)) };
    const tookMs = millisecondsOf(() => screenValue(check, value));
    if (process.env.SHOW !== undefined) console.log('whole/check', tookMs.toFixed(1), JSON.stringify(piece));
    expect(tookMs).toBeLessThan(limitMs);
  });
});

const views = new Map<string, ReturnType<typeof foldText>>();

function foldOnce(piece: string, size: number) {
  const key = `${piece} ${size}`;
  const view = views.get(key) ?? foldText(piece.repeat(Math.ceil(size / piece.length)));
  views.set(key, view);
  return view;
}
