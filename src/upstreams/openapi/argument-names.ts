/** Names for arguments: those of the parameters where they can be, and told apart where two of them are the same. */
import { shortHash } from './schema-names.ts';

interface Located {
  readonly in: string;
  readonly name: string;
}

/** What the strictest of the model providers take as the name of an argument. */
const legalName = /^[a-zA-Z0-9_.-]{1,64}$/;

/** In the order of the parameters. Two in one place get the place before their names; the body is `body`, or else `request_body`. */
export function nameArguments(parameters: readonly Located[]): { readonly names: readonly string[]; readonly body: string } {
  const plain = parameters.map(({ name }) => legalize(name));
  const count = countOf(plain);
  const located = parameters.map((parameter, index) => {
    const name = plain[index] ?? '';
    return (count.get(name) ?? 0) > 1 ? legalize(`${parameter.in}_${name}`) : name;
  });
  const again = countOf(located);
  const names = parameters.map((parameter, index) => {
    const name = located[index] ?? '';
    return (again.get(name) ?? 0) > 1 ? `${name.slice(0, 57)}_${shortHash(`${parameter.in} ${parameter.name}`)}` : name;
  });
  const body = ['body', 'request_body'].find((name) => !names.includes(name)) ?? `body_${shortHash(names.join(' '))}`;
  return { names, body };
}

function countOf(names: readonly string[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return count;
}

/** `filter[name]` is `filter_name`, `created>` is `created_gt`. */
function legalize(name: string): string {
  if (legalName.test(name) && name !== '__proto__') return name;
  const spelled = name
    .slice(0, 200)
    .replaceAll('<', '_lt')
    .replaceAll('>', '_gt')
    .replaceAll(/[^a-zA-Z0-9_.-]+/g, '_')
    .replaceAll(/^_+|_+$/g, '');
  if (spelled === '') return `argument_${shortHash(name)}`;
  const isOther = /[^\x20-\x7e]/.test(name) || spelled.length > 64 || name.length > 200;
  return isOther ? `${spelled.slice(0, 57)}_${shortHash(name)}` : spelled;
}
