import { suggestName } from '../problems.ts';
import type { JsonObject } from '../wire/json.ts';
import type { FileError, Written } from './client-file.ts';
import { type Client, clients, commonEntry, type LocalServer, type RemoteServer } from './clients.ts';
import { renderTomlTable } from './edit-toml.ts';
import { plain, plainLines } from './show-answer.ts';
import type { Trial } from './try-server.ts';

/** 0: connected and tried. 1: something did not work. 2: this cannot be asked for. */
export type ExitCode = 0 | 1 | 2;

/** Where lines go: results, and what went wrong. */
export interface Output {
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** Says everything once, as sentences or as one JSON object. */
export class ConnectReport {
  readonly #output: Output;
  readonly #isJson: boolean;
  readonly #facts: Record<string, unknown>;

  constructor(client: string, isJson: boolean, output: Output) {
    this.#output = output;
    this.#isJson = isJson;
    this.#facts = { client };
  }

  unknownClient(given: string, name: string, server: LocalServer | RemoteServer, url: string): ExitCode {
    const known = clients.map((client) => client.name);
    const local: LocalServer = server.kind === 'local' ? server : { kind: 'local', command: 'gatehouse', args: ['stdio'] };
    const remote: RemoteServer = server.kind === 'remote' ? server : { kind: 'remote', url, key: '<key>' };
    const forms = [local, remote].map((form) => ({ mcpServers: { [name]: commonEntry(form) } }));
    const hint = suggestName(given, known);
    this.#say(`"${given}" is no client that Gatehouse can configure.${hint} Known: ${known.join(', ')}.`);
    this.#say('Most others take one of these two. To let the client start Gatehouse itself:', JSON.stringify(forms[0], null, 2));
    this.#say('To use a gateway that runs already:', JSON.stringify(forms[1], null, 2));
    return this.#end(2, { status: 'unknown client', known, entries: forms });
  }

  entry(client: Client, name: string, file: string, entry: JsonObject): ExitCode {
    this.#say(`For ${client.title}, in ${file}:`, this.#paste(client, name, entry));
    return this.#end(0, { status: 'printed', file, section: client.section, name, entry });
  }

  written(client: Client, name: string, { file, isChanged, isNew, backup, isExposed }: Written): void {
    Object.assign(this.#facts, { file, name, isChanged, backup: backup ?? null, isExposed });
    if (!isChanged) this.#say(`${client.title} is already connected: "${name}" in ${file} is up to date.`);
    else this.#say(`Wrote "${name}" into ${file}${isNew ? ', which was not there before' : ''}.`);
    if (isNew) this.#say(`If ${client.title} is not installed yet, it will find the file when it is.`);
    if (backup !== undefined) this.#say(`The file as it was: ${backup}`);
    if (isExposed)
      this.#say(`Others on this machine can read that file, and it holds the key. "chmod 600 ${file}" keeps it to you.`);
  }

  tried(client: Client, trial: Trial): ExitCode {
    const { server, tools, called, ms } = trial;
    this.#say(
      `Tried it as ${client.title} will: ${plain(server)} lists ${tools} tools and answered${called === undefined ? '' : ` a call of ${plain(called)}`} in ${ms} ms.`,
    );
    if (called === undefined) this.#say('None of the tools is read-only and needs no argument, so none was called.');
    this.#say(`Next: ${client.next}`);
    return this.#end(0, { status: 'connected', trial: { ...trial, called: called ?? null }, next: client.next });
  }

  failed(problem: string): ExitCode {
    this.#output.complain(`The entry is written, but what it names does not work yet. ${plain(problem)}`);
    this.#output.complain('Repair that and run the same command again; "gatehouse doctor" shows the state of every upstream.');
    return this.#end(1, { status: 'failed', problem });
  }

  unwritable(client: Client, name: string, { file, message, entry }: FileError): ExitCode {
    this.#output.complain(
      `${plain(message)} Nothing was changed. Repair the file and run the command again, or paste this into it:`,
    );
    this.#output.complain(plainLines(this.#paste(client, name, entry)));
    return this.#end(1, { status: 'not written', file, problem: message });
  }

  refused(problem: string): ExitCode {
    this.#output.complain(plain(problem));
    return this.#end(2, { status: 'refused', problem });
  }

  #paste(client: Client, name: string, entry: JsonObject): string {
    if (client.format === 'toml') return renderTomlTable(client.section, name, entry);
    return JSON.stringify({ [client.section]: { [name]: entry } }, null, 2);
  }

  #say(...lines: string[]): void {
    if (!this.#isJson) for (const line of lines) this.#output.print(plainLines(line));
  }

  #end(exitCode: ExitCode, facts: Record<string, unknown>): ExitCode {
    if (this.#isJson) this.#output.print(plain(JSON.stringify({ ...this.#facts, ...facts })));
    return exitCode;
  }
}
