import { endOfOwnKey, entropyBits } from './checksums.ts';
import { openPattern } from './open-pattern.ts';
import { type AddSpan, everything, gate, partFor, patternRule, type Rule } from './rule.ts';

const severity = 'critical';
const category = 'secrets';

/** Credentials: of known makers by their form, of others by the word in front of them. */
export const secretRules: readonly Rule[] = [
  patternRule({
    id: 'secrets/gatehouse-key',
    title: 'A key of Gatehouse',
    pattern: /(?<![A-Za-z0-9])gh_[A-Za-z0-9][A-Za-z0-9_-]{20,220}/g,
    accepts: holdsOwnKey,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/aws-access-key',
    title: 'An AWS access key id',
    pattern: /(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Za-z0-9])/g,
    accepts: (key) => !key.endsWith('EXAMPLE'),
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/aws-secret-key',
    title: 'An AWS secret access key',
    pattern: /secret[_ ]?access[_ ]?key["'\\]{0,3}\s{0,3}[:=]\s{0,3}["'\\]{0,3}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])/gi,
    group: 1,
    accepts: (_, [, key = '']) => entropyBits(key) > 4 && !key.endsWith('EXAMPLEKEY'),
    gates: gate.secretWords,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/github-token',
    title: 'A GitHub token',
    pattern: /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/gitlab-token',
    title: 'A GitLab token',
    pattern: /(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,64}/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/slack-token',
    title: 'A Slack token or webhook',
    pattern:
      /(?<![A-Za-z0-9])(?:xox[abeoprs]-[0-9][A-Za-z0-9-]{15,250}|xapp-[0-9]-[A-Za-z0-9-]{20,250}|hooks\.slack\.com\/services\/T[A-Z0-9]{6,14}\/B[A-Z0-9]{6,14}\/[A-Za-z0-9]{20,30})/g,
    gates: gate.token | gate.secretWords,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/anthropic-key',
    title: 'An Anthropic API key',
    pattern: /(?<![A-Za-z0-9])sk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_-]{20,200}/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/openai-key',
    title: 'An API key in the form OpenAI and others use',
    pattern: /(?<![A-Za-z0-9])sk-(?!ant-)[A-Za-z0-9_-]{20,200}/g,
    accepts: (key) => /[0-9]/.test(key) && /[A-Z]/.test(key) && /[a-z]/.test(key.slice(3)) && isRandom(key),
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/google-key',
    title: 'A Google API key, OAuth token or client secret',
    pattern:
      /(?<![A-Za-z0-9_-])(?:AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|ya29\.[A-Za-z0-9_-]{20,300}|GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-]))/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/stripe-key',
    title: 'A Stripe key or webhook secret',
    pattern: /(?<![A-Za-z0-9])(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9]{24,64})/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/package-token',
    title: 'A token for npm or PyPI',
    pattern: /(?<![A-Za-z0-9])(?:npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])|pypi-AgE[A-Za-z0-9_-]{50,300})/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/service-token',
    title: 'A token of Hugging Face, SendGrid, DigitalOcean or Shopify',
    pattern:
      /(?<![A-Za-z0-9])(?:hf_[A-Za-z]{34}(?![A-Za-z])|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})/g,
    gates: gate.token,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/json-web-token',
    title: 'A JSON Web Token (RFC 7519)',
    pattern: /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{0,1000}/g,
    accepts: (token) => /"alg"/.test(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('latin1')),
    gates: gate.token,
    severity,
    category,
  }),
  {
    id: 'secrets/private-key',
    title: 'A private key in PEM form',
    gates: gate.secretWords,
    severity,
    category,
    reads: 'folded',
    find: ({ text }, add, stretch) => findPrivateKeys(text, add, stretch),
  },
  patternRule({
    id: 'secrets/url-password',
    title: 'A URL with a password in it',
    pattern: /:\/\/[^\s:@/?#"'<>\\]{0,100}:([^\s@/?#"'<>\\]{3,200})(?=@[A-Za-z0-9[])/g,
    group: 1,
    accepts: (_, [, password = '']) => !isPlaceholder(password),
    gates: gate.at,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/authorization-header',
    title: 'Credentials as they stand in an Authorization header',
    pattern: /(?<![A-Za-z])(?:bearer|basic)\s{1,3}["'\\]{0,2}([A-Za-z0-9._~+/-]{16,2000}={0,2})/gi,
    group: 1,
    accepts: (_, [, credentials = '']) => isKeyLike(credentials),
    gates: gate.assignment,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/assignment',
    title: 'Something random behind a word such as "token" or "api_key"',
    pattern:
      /((?:page|next|cursor|continuation|continue|resume|sync|progress|public)[_ -]?)?(?:(?:api|access|secret|private|auth|app|account|client|service|encryption|signing|master|shared|storage|subscription)[_ -]?key|(?<![A-Za-z0-9_-])key(?=\s{0,3}=)|token|secret|credentials?|(?<![A-Za-z])pat)["'\\]{0,3}\s{0,3}(?:=>|[:=])\s{0,3}["'\\]{0,3}([A-Za-z0-9+/_.~-]{16,500}={0,2})/gi,
    group: 2,
    // What leads to the next page is random, and no secret.
    accepts: (_, [, place, value = '']) => place === undefined && isKeyLike(value),
    gates: gate.assignment,
    severity,
    category,
  }),
  patternRule({
    id: 'secrets/password',
    title: 'A password behind the word',
    pattern:
      /(?:password|passwd|passwort|passphrase|kennwort|contrasena|mot de passe)["'\\]{0,3}\s{0,3}(?:=>|[:=>]|is |ist |es |est )\s{0,3}["'\\]{0,3}([^\s"'\\<>,;&]{8,128})/gi,
    group: 1,
    accepts: (_, [, value = '']) => isPassword(value),
    gates: gate.secretWords,
    severity,
    category,
  }),
];

const secretName = /(?:key|token|secret|credentials?|password|passwd|passwort|passphrase|kennwort|contrasena|(?<![a-z])pat)$/i;

/** Whether a member of this name says of its value that it is a secret: the value is then read with the name in front. */
export function isSecretName(name: string): boolean {
  return name.length <= 128 && secretName.test(name);
}

function holdsOwnKey(text: string): boolean {
  // A key may stand behind something that also begins like one.
  for (let start = 0, tries = 0; start >= 0 && tries < 4; start = text.indexOf('gh_', start + 1), tries++)
    if (endOfOwnKey(text.slice(start)) > 0) return true;
  return false;
}

function isKeyLike(value: string): boolean {
  // An address on a chain is public.
  if (/^0x[0-9A-Fa-f]{40}$/.test(value)) return false;
  // The quick look opens for a long run of both, and for nothing else.
  const runs = value.match(/[A-Za-z0-9_-]{16,}/g) ?? [];
  if (!runs.some((run) => /[0-9]/.test(run) && /[A-Za-z]/.test(run))) return false;
  return !isPlaceholder(value) && !isPathLike(value) && isRandom(value);
}

function isRandom(value: string): boolean {
  // Sixteen hex digits hold about 3.2 bits each by chance, words with digits joined by dashes less variety than their length allows.
  return entropyBits(value) >= (value.length < 24 ? 3 : 3.25) && !isPlaceholder(value);
}

// A file, a version, a name in code: words with dots, slashes or dashes between them, each short of random.
function isPathLike(value: string): boolean {
  const words = value.split(/[/._~-]/);
  return (
    words.length > 2 &&
    words.every((word) => /^(?:[A-Za-z]{0,20}|[0-9]{1,6}|v[0-9]{1,4}|[A-Z]?[a-z]{1,15}[0-9]{0,3})$/.test(word))
  );
}

function isPlaceholder(value: string): boolean {
  return /example|placeholder|your|change.?me|dummy|redacted|insert|sample|x{4}|\*{3}|\.{3}|0{6}|^\$|[{}<>]|^pass(?:word|wd)?$|^secret$/i.test(
    value,
  );
}

function isPassword(value: string): boolean {
  if (isPlaceholder(value) || /[()[\]]|:\/\//.test(value) || /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,9}$/.test(value)) return false;
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^A-Za-z0-9.]/];
  return kinds.filter((kind) => kind.test(value)).length >= 3;
}

const longestKeyBlock = 16_384;

const keyHead = /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const openKeyHead = openPattern(keyHead);
const longestEndLine = 80;

// To the end marker, or as far as a key can reach where the text was cut off.
function findPrivateKeys(whole: string, add: AddSpan, { from, until, isOpen } = everything): number {
  const begin = isOpen ? openKeyHead : keyHead;
  const text = partFor(whole, until);
  begin.lastIndex = from;
  let close = -1;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    if (match.index >= until) return until;
    const body = match.index + match[0].length;
    if (isOpen && body >= text.length) return match.index;
    // Looked for again only when it was passed: a text of many beginnings is read once.
    if (close < body && close !== text.length) {
      close = text.indexOf('-----END', body);
      if (close < 0) close = text.length;
    }
    if (isOpen && text.length < Math.min(close + longestEndLine, body + longestKeyBlock)) return match.index;
    const last = Math.min(close === text.length ? close : endOfLine(text, close + 8), body + longestKeyBlock);
    if (add(match.index, last)) return whole.length;
    if (last >= until) return last;
    begin.lastIndex = last;
  }
  return text === whole ? whole.length : until;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('-----', from);
  return end < 0 || end - from > 64 ? Math.min(text.length, from + 24) : end + 5;
}
