import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actions } from '../../src/admin/actions.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

const page = readFileSync(new URL('../../docs/administration.md', import.meta.url), 'utf8');
const examples = Array.from(page.matchAll(/```http\n([\s\S]*?)```/g), ([, block = '']) => block.trim().split('\n\n')).flat();

let upstream: StagedUpstream;
let gateway: AdminGateway;
beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['get_ticket'] });
  gateway = await openAdminGateway({ namespaces: { support: namespaceFor('support', upstream.url) } });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

test('every example of the page does what it says, one after the other', async () => {
  expect(examples.length).toBeGreaterThan(15);
  for (const example of examples) {
    const [line = '', ...body] = example.split('\n');
    const answer = await gateway.api(line.replace(' /api', ' '), body.length === 0 ? undefined : JSON.parse(body.join('\n')));
    expect([example, answer.status, answer.status === 200 ? undefined : answer.body]).toEqual([example, 200, undefined]);
  }
});

test('every route of the page is one of an action', () => {
  const routes = actions.map(({ route }) => new RegExp(`^${route.replace(' /', ' /api/').replaceAll(/\{\w+\}/g, '[^/]+')}$`));
  for (const example of examples) {
    const route = example.split('\n')[0]?.split('?')[0] ?? '';
    expect([route, routes.some((known) => known.test(route))]).toEqual([route, true]);
  }
});
