import type { Caller } from '../call/authenticate.ts';
import { previewToolbox } from '../catalog/build.ts';
import { readSearch } from '../catalog/complete-config.ts';
import type { ToolboxConfig } from '../catalog/config.ts';
import { readPattern, type ToolboxPattern } from '../catalog/toolbox-pattern.ts';
import { suggestName } from '../problems.ts';
import { checkEntry } from '../registry/documents.ts';
import type { AdminPorts } from './action.ts';
import { errorAt, type Finding, hasErrors, warningAt } from './findings.ts';
import { namespacesNamed } from './known-names.ts';
import type { Visible } from './visible.ts';

type SelectionPorts = Pick<AdminPorts, 'calls' | 'catalog' | 'files' | 'registry'>;

/** What a toolbox holds, in the words of a namespace file. */
export type Selection = Readonly<Record<string, unknown>>;

interface Draft {
  readonly namespace: string;
  readonly name: string;
  readonly selection: Selection;
}

/**
 * What is wrong with a toolbox that a caller makes: its form, and every line that reaches beyond what that caller may call. Keys that
 * are for the toolbox may call what is in it, so whoever changes it must be able to.
 */
export function checkSelection(
  ports: SelectionPorts,
  caller: Caller,
  visible: ReadonlyMap<string, Visible>,
  { namespace, name, selection }: Draft,
): readonly Finding[] {
  const flaws = checkEntry('toolboxes', namespace, name, selection).map(({ path, message }) => errorAt(path, message));
  if (flaws.length > 0) return flaws;
  const findings = textsOf(selection.include).flatMap((text, index) => {
    const pattern = readPattern(text);
    return pattern === undefined ? [] : checkPattern(ports, caller, visible, pattern, ['include', String(index)]);
  });
  if (selection.names !== 'one-to-one' || hasErrors(findings)) return findings;
  const { members } = previewToolbox(ports.catalog(), configOf({ namespace, name, selection }));
  if (members.length === 1) return findings;
  const covered = members.length === 0 ? 'none' : members.map(({ id }) => id).join(', ');
  const message = `A toolbox with "names: one-to-one" shows exactly one upstream, and this one covers ${covered}. Include one as "namespace/upstream/*", or use "names: prefixed".`;
  return [...findings, errorAt(['names'], message)];
}

function checkPattern(
  ports: SelectionPorts,
  caller: Caller,
  visible: ReadonlyMap<string, Visible>,
  pattern: ToolboxPattern,
  path: readonly string[],
): Finding[] {
  if (pattern.namespace === 'admin' || !mayTake(ports, caller, visible, pattern))
    return [errorAt(path, `"${pattern.text}" reaches beyond what ${caller.id} may call. Name what you may call.`)];
  const known = namespacesNamed(ports);
  if (![...known].some((name) => pattern.coversNamespace(name))) {
    const message = `"${pattern.text}" names the namespace "${pattern.namespace}", which is not there.${suggestName(pattern.namespace, known)}`;
    return [errorAt(path, message)];
  }
  if ([...visible.values()].some((one) => isTaken(pattern, one))) return [];
  return [warningAt(path, `"${pattern.text}" takes nothing right now.`)];
}

function mayTake(
  { catalog }: SelectionPorts,
  caller: Caller,
  visible: ReadonlyMap<string, Visible>,
  pattern: ToolboxPattern,
): boolean {
  const { everything } = catalog();
  const [namespace = '', ...rest] = pattern.text.split('/');
  const name = rest.at(-1) ?? '*';
  // A pattern tried as a name: a "*" in it is matched by nothing but a "*", so what passes takes no more than the rule does.
  const mayTakeAll = caller.reaches.every((reach) => reach('', { namespace, name: `${namespace}/${name}`, isModel: false }));
  const isExact = !pattern.text.includes('*') && rest.length > 0;
  if (!mayTakeAll && !(isExact && [...visible.values()].some((one) => isTaken(pattern, one)))) return false;
  const all = [
    ...Array.from(everything.tools.values(), (capability) => ({ kind: 'tool' as const, capability })),
    ...Array.from(everything.prompts.values(), (capability) => ({ kind: 'prompt' as const, capability })),
  ];
  return all.every(({ kind, capability }) => {
    const one = { kind, name: capability.name, capability, toolboxes: [] };
    return !isTaken(pattern, one) || visible.has(`${kind} ${capability.name}`);
  });
}

function isTaken(pattern: ToolboxPattern, { name, capability }: Visible): boolean {
  const { config } = capability.member;
  return pattern.covers(config) && (pattern.isWhole || pattern.takes(name.slice(config.namespace.length + 1)));
}

/** Of a selection without flaws. */
export function configOf({ namespace, name, selection }: Draft): ToolboxConfig {
  const { title, description, names, search } = selection;
  return {
    name,
    namespace,
    title: typeof title === 'string' ? title : undefined,
    description: typeof description === 'string' ? description : undefined,
    include: textsOf(selection.include),
    exclude: textsOf(selection.exclude),
    names: names === 'one-to-one' ? 'one-to-one' : 'prefixed',
    search: readSearch(search),
    pinned: textsOf(selection.pinned),
  };
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : [];
}
