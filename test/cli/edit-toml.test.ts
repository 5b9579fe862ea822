import { describe, expect, test } from 'vitest';
import { readTomlEnvironment, setTomlTable } from '../../src/cli/edit-toml.ts';

const entry = { command: '/usr/bin/node', args: ['a b', 'stdio'] };

function set(text: string): string {
  return setTomlTable(text, 'mcp_servers', 'gatehouse', entry, ['url', 'http_headers']);
}

const table = '[mcp_servers.gatehouse]\ncommand = "/usr/bin/node"\nargs = ["a b", "stdio"]\n';

describe('setting a table of a TOML file', () => {
  test('the table is appended where there is none, and the rest stays', () => {
    const text = `# my settings\nmodel = "o3"\n\n[mcp_servers.github]\nargs = [\n  "x", # one\n]\nnote = """\n[mcp_servers.gatehouse]\n"""\n`;
    expect(set(text)).toBe(`${text}\n${table}`);
    expect(set('')).toBe(table);
    expect(set('a = 1')).toBe(`a = 1\n\n${table}`);
  });

  test('a table that is there keeps what is not about the transport', () => {
    const text =
      '[mcp_servers.gatehouse]\nurl = "http://old/mcp"\nstartup_timeout_sec = 20 # slow\n[mcp_servers.gatehouse.env]\nCRM_TOKEN = "x"\n[other]\nb = 1\n';
    expect(set(text)).toBe(
      '[mcp_servers.gatehouse]\ncommand = "/usr/bin/node"\nargs = ["a b", "stdio"]\nstartup_timeout_sec = 20 # slow\n[mcp_servers.gatehouse.env]\nCRM_TOKEN = "x"\n[other]\nb = 1\n',
    );
  });

  test('a second time changes nothing', () => {
    const once = set('[mcp_servers.gatehouse]\nenabled = true\nhttp_headers = { A = "b" }\n\n[x]\n');
    expect(set(once)).toBe(once);
  });

  test('other ways to write the same table are refused, not doubled', () => {
    expect(() => set('mcp_servers = { gatehouse = { command = "x" } }\n')).toThrow(/line 1/);
    expect(() => set('[mcp_servers]\ngatehouse.command = "x"\n')).toThrow(/line 2/);
    expect(() => set('mcp_servers.gatehouse = { url = "x" }\n')).toThrow(/form that is not edited/);
    expect(() => set(`${table}[mcp_servers.gatehouse.http_headers]\nA = "b"\n`)).toThrow(/table of its own/);
    expect(set('[mcp_servers]\ngithub.command = "x"\n')).toContain(table);
  });

  test('what is not TOML is refused with the line', () => {
    expect(() => set('a = 1\nb =\n')).toThrow(/line 2, a value/);
    expect(() => set('a = 1 b = 2\n')).toThrow(/line 1/);
    expect(() => set('[a\n')).toThrow(/not closed/);
    expect(() => set('a = [1, 2\n')).toThrow(/comma/);
  });

  test('every kind of value is passed over', () => {
    const text = `a = 'C:\\x'\nb = [1979-05-27 07:32:00Z, { c = 1, d.e = [true] }]\nf = -1.5e3\n"g h" = '''\n]\n'''\ni = ""\n[[j]]\nk = inf\n`;
    expect(set(text)).toBe(`${text}\n${table}`);
  });

  test('the environment is read from both its forms', () => {
    const inline = `${table}env = { A = "1", "B C" = 'two' }\n`;
    const own = `${table}\n[mcp_servers.gatehouse.env]\nA = "1"\nB = 2\n`;
    expect(readTomlEnvironment(inline, 'mcp_servers', 'gatehouse')).toEqual({ A: '1', 'B C': 'two' });
    expect(readTomlEnvironment(own, 'mcp_servers', 'gatehouse')).toEqual({ A: '1' });
  });
});
