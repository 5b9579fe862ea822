import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../wire/json.ts';

// What an entry may not say that was registered at run time, though a file may: whoever can write files on this machine can run
// programs there anyway, and whoever may call an action must not become that.

/** Commands that may run, each an exact list of words. */
export type AllowedCommands = readonly (readonly string[])[];

interface RuleFlaw {
  readonly path: readonly string[];
  readonly message: string;
}

// They decide what a program loads, where it looks for programs, or what it trusts.
const hijacking =
  /^(LD_.*|DYLD_.*|PATH|PATHEXT|IFS|ENV|SHELL|SHELLOPTS|BASHOPTS|BASH_.*|PS4|PROMPT_COMMAND|HOME|USERPROFILE|APPDATA|XDG_.*|TMPDIR|NODE_.*|NPM_.*|BUN_.*|DENO_.*|YARN_.*|PNPM_.*|COREPACK_.*|PYTHON.*|PIP_.*|UV_.*|CONDA_.*|VIRTUAL_ENV|PERL.*|RUBY.*|GEM_.*|BUNDLE_.*|JAVA_.*|_JAVA_OPTIONS|JDK_.*|CLASSPATH|PHP.*|LUA_.*|GIT_.*|SSH_.*|DOCKER_.*|GCONV_PATH|LOCPATH|MALLOC_.*|GLIBC_.*|OPENSSL_.*|SSL_.*|CURL_.*|REQUESTS_CA_BUNDLE|(HTTP|HTTPS|ALL|NO)_PROXY|GATEHOUSE_.*)$/i;

/** Every rule that an entry breaks, with its place in the entry. Checked when it is registered and again whenever it is used. */
export function checkRunTimeRules(entry: Readonly<Record<string, unknown>>, allowed: AllowedCommands): readonly RuleFlaw[] {
  const { command, env, cwd, import: name } = entry;
  const flaws: RuleFlaw[] = [];
  if (command !== undefined && !allowed.some((words) => isDeepStrictEqual(words, command))) {
    flaws.push({
      path: ['command'],
      message:
        'This command may not be run here: whoever runs this gateway allows commands word for word with GATEHOUSE_ALLOWED_COMMANDS, or writes them into a namespace file.',
    });
  }
  if (name !== undefined)
    flaws.push({
      path: ['import'],
      message: 'Files of this machine are for namespace files to name; give the API description itself as "document". Remove it.',
    });
  if (cwd !== undefined)
    flaws.push({
      path: ['cwd'],
      message: 'Where a command runs decides what it loads; only a namespace file can say it. Remove it.',
    });
  for (const name of isObject(env) ? Object.keys(env) : []) {
    if (hijacking.test(name))
      flaws.push({
        path: ['env', name],
        message: `${name} changes what a program loads or trusts; only a namespace file can set it. Remove it.`,
      });
  }
  return flaws;
}
