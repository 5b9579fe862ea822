import type { Documentation } from './describe.ts';
import { block, code, oneLine, paragraphs, table } from './markdown.ts';
import type { SchemaRows } from './schema-rows.ts';

/** The documentation of a tool as a page. Whatever its upstream wrote is text in it and nothing else. */
export function writeMarkdown(documentation: Documentation): string {
  const { name, title, description, input, output } = documentation;
  const sections = [
    `# ${title === undefined ? code(name) : oneLine(title)}`,
    facts(documentation),
    description === undefined ? 'Its upstream does not say what it does.' : paragraphs(description),
    `## Input\n\n${schemaTable(input, 'It takes no arguments.')}${filledIn(documentation)}`,
    ...(output === undefined ? [] : [`## Output\n\n${schemaTable(output, 'Its answer has no members of its own.')}`]),
    ...examples(documentation),
    `## What holds a call\n\n${holds(documentation)}`,
    `## Errors\n\n${table(
      ['code', 'what it means'],
      documentation.errors.map((error) => [code(error.code), error.meaning]),
    )}`,
    snippets(documentation),
  ];
  return `${sections.join('\n\n')}\n`;
}

const riskWords = {
  'read-only': 'only reads',
  changes: 'changes things, and destroys nothing',
  destructive: 'may change and destroy things',
} as const;

function facts({ name, calledAs, url, upstream, risk, tags, health }: Documentation): string {
  const rows = [
    ['name', code(name)],
    ['called as', `${code(calledAs)} at ${code(url)}`],
    ['upstream', `${code(upstream)}, ${health.state}${health.lastError === undefined ? '' : `: ${oneLine(health.lastError)}`}`],
    ['by its own word, it', riskWords[risk]],
    ...(tags.length === 0 ? [] : [['tags', tags.map((tag) => code(tag)).join(', ')]]),
  ];
  return table(['', ''], rows);
}

function schemaTable({ rows, isCut }: SchemaRows, none: string): string {
  if (rows.length === 0) return none;
  const body = table(
    ['argument', 'type', 'required', 'meaning'],
    rows.map(({ path, type, isRequired, description, rules }) => [
      code(path),
      oneLine(type),
      isRequired ? 'yes' : '',
      [oneLine(description), rules.length === 0 ? '' : oneLine(`(${rules.join('; ')})`)].filter((part) => part !== '').join(' '),
    ]),
  );
  return isCut ? `${body}\n\nWhat is nested more deeply, or in itself, is left out here.` : body;
}

/** Below the table of arguments. */
function filledIn({ filledIn }: Documentation): string {
  if (filledIn.length === 0) return '';
  const each = filledIn.map(({ argument, value }) =>
    value === undefined ? code(argument) : `${code(argument)} with ${code(JSON.stringify(value))}`,
  );
  return `\n\nWhere a call leaves them out, the gateway fills in: ${each.join(', ')}.`;
}

function examples({ examples }: Documentation): string[] {
  if (examples.length === 0) return [];
  const each = examples.map(
    ({ title, arguments: args }) => `${oneLine(title)}:\n\n${block('json', JSON.stringify(args, undefined, 2))}`,
  );
  return [`## Examples\n\n${each.join('\n\n')}`];
}

function holds({ limits, gates, hasRules, timeoutMs, maxDurationMs }: Documentation): string {
  const lines = [
    ...limits.map((limit) => oneLine(`At most ${limit}.`)),
    ...gates.map((gate) => oneLine(gate)),
    ...(hasRules ? ['Rules look at who calls and at the arguments.'] : []),
    `It may be silent for ${timeoutMs / 1000} s and take ${maxDurationMs / 1000} s in all.`,
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}

function snippets({ snippets: { mcp, curl, typescript, python } }: Documentation): string {
  return [
    '## How to call it\n\nWith a key in the environment variable `GATEHOUSE_KEY`. In the configuration of an MCP client:',
    block('json', mcp),
    'With curl:',
    block('sh', curl),
    'In TypeScript, with `npm install @modelcontextprotocol/sdk`:',
    block('ts', typescript),
    'In Python, with `pip install mcp` (1.24 or later):',
    block('python', python),
  ].join('\n\n');
}
