import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { LineReader } from './line-reader.ts';

export interface Command {
  /** The program and its arguments, passed on exactly; no shell sees them. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
}

/** What a child gets of our environment. Everything else, keys and tokens above all, must be declared in its namespace file. */
const baseEnvironment = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'TMPDIR',
  'TEMP',
  'TMP',
  'SystemRoot',
  'PATHEXT',
  'APPDATA',
  'LOCALAPPDATA',
  'USERPROFILE',
];
const outputGraceMs = 250;
const inputGraceMs = 1_000;
const terminateGraceMs = 2_000;
const logLineBytes = 8_192;
const isWindows = process.platform === 'win32';

// A child that outlives us would hold ports and files for ever; `exit` handlers may only do what is synchronous.
const running = new Set<ChildProcessGroup>();
let isExitWatched = false;

/** A child process with everything it starts: its own process group, ended as a whole. */
export class ChildProcessGroup {
  readonly #child: ChildProcess;
  readonly #started: Promise<string | undefined>;
  readonly #exited: Promise<void>;
  readonly #ended: Promise<string>;
  #stopping: Promise<void> | undefined;

  constructor({ command, env, cwd }: Command) {
    const [program = '', ...args] = command;
    // Whoever starts Gatehouse may have an older Node on their PATH, or none: "node" is the one that runs Gatehouse.
    this.#child = spawn(program === 'node' ? process.execPath : program, args, {
      cwd,
      env: { ...inherited(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: !isWindows,
      windowsHide: true,
      shell: false,
    });
    const child = this.#child;
    // Writing to a process that has just ended is an error of the pipe, which says nothing its end does not say.
    child.stdin?.on('error', () => {});
    child.stdout?.on('error', () => {});
    child.stderr?.on('error', () => {});
    this.#started = new Promise((resolve) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', (error) => resolve(startProblem(error)));
    });
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => child.pid === undefined && resolve());
    });
    this.#ended = new Promise((resolve) => this.#watchEnd(resolve));
    if (child.pid !== undefined) this.#watchExit();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Bytes written that the child has not read yet. */
  get backlog(): number {
    return this.#child.stdin?.writableLength ?? 0;
  }

  /** Undefined once it runs, or why it does not, without naming a path. */
  started(): Promise<string | undefined> {
    return this.#started;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  onOutput(listener: (chunk: Buffer) => void): void {
    this.#child.stdout?.on('data', listener);
  }

  onLogLine(listener: (line: string) => void): void {
    const reader = new LineReader(logLineBytes, (line) => line.length > 0 && listener(line.toString('utf8')));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch {
        listener(`${chunk.toString('utf8', 0, 200)} (a line longer than ${logLineBytes} bytes)`);
      }
    });
  }

  /** Called once, when the process has ended and its output is read, or can no longer be waited for. */
  onEnd(listener: (reason: string) => void): void {
    void this.#ended.then(listener);
  }

  /** Ends the group: a closed stdin, then SIGTERM, then SIGKILL. Resolves when the process is gone. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    child.stdin?.end();
    if (child.pid === undefined) return;
    if (!(await this.#exitWithin(inputGraceMs))) {
      this.#kill('SIGTERM');
      if (!(await this.#exitWithin(terminateGraceMs))) this.#kill('SIGKILL');
      await this.#exited;
    }
    this.#kill('SIGKILL');
    running.delete(this);
    for (const stream of child.stdio) stream?.destroy();
  }

  #exitWithin(ms: number): Promise<boolean> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms, false);
      void this.#exited.then(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** Signals every process of the group; it may be empty by now. */
  #kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      // Windows has neither groups nor SIGTERM; taskkill /T follows the tree.
      if (isWindows) execFileSync('taskkill', ['/pid', String(pid), '/T', '/F'], { stdio: 'ignore', timeout: 5_000 });
      else process.kill(-pid, signal);
    } catch {
      // Already gone.
    }
  }

  #watchEnd(resolve: (reason: string) => void): void {
    const child = this.#child;
    child.once('error', (error) => child.pid === undefined && resolve(startProblem(error)));
    child.once('exit', (code, signal) => {
      const reason = signal === null ? `its process ended with exit code ${code}` : `its process was ended by ${signal}`;
      // What the child started may hold the pipe open for ever: output still on its way gets a moment.
      const timer = setTimeout(resolve, outputGraceMs, reason);
      child.once('close', () => {
        clearTimeout(timer);
        resolve(reason);
      });
      this.#kill('SIGKILL');
      running.delete(this);
    });
  }

  #watchExit(): void {
    running.add(this);
    if (isExitWatched) return;
    isExitWatched = true;
    process.on('exit', () => {
      for (const group of running) group.#kill('SIGKILL');
    });
  }
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of baseEnvironment) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

function startProblem(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'its command or working directory was not found';
  if (code === 'EACCES') return 'its command may not be executed';
  return `its command failed to start${code === undefined ? '' : ` (${code})`}`;
}
