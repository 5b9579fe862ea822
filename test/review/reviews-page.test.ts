import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startChangingUpstream } from '../support/changing-upstream.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'reviews.md'), 'utf8');

/** The example behind an action's name. */
function example(name: string) {
  const [, json = ''] = new RegExp(`\`${name}\`:\\n\\n\`\`\`json\\n([\\s\\S]*?)\`\`\``).exec(page) ?? [];
  return JSON.parse(json);
}

test('the actions do what the page says', async () => {
  const upstream = await startChangingUpstream([
    { name: 'find_person', description: 'Finds one.', inputSchema: { type: 'object' } },
  ]);
  const gateway: AdminGateway = await openAdminGateway();
  try {
    await gateway.ok('POST /namespaces', { namespace: 'hr' });
    const dora = await gateway.person('dora', [{ role: 'developer', namespace: 'hr' }]);
    const ann = await gateway.person('ann', [{ role: 'approver', namespace: 'hr' }]);
    const abe = await gateway.person('abe', [{ role: 'approver', namespace: 'hr' }]);
    await gateway.ok('PUT /review-rules', example('set_review_rules'));

    const proposal = example('submit_capability');
    proposal.entry.url = upstream.url;
    const { id } = (await gateway.ok('POST /submissions', proposal, dora)).submission;
    const wanted = Object.entries(example('list_submissions')).map(([key, value]): [string, string] => [key, String(value)]);
    const query = new URLSearchParams(wanted);
    const decide = async (key: string) => {
      const { submissions } = await gateway.ok(`GET /submissions?${query}`, undefined, key);
      expect(submissions).toMatchObject([{ id, state: 'submitted' }]);
      const { id: _, ...decision } = example('review_submission');
      const { revision } = submissions[0];
      return (await gateway.ok(`POST /submissions/${id}/review`, { ...decision, revision }, key)).submission;
    };
    expect(await decide(ann)).toMatchObject({ state: 'submitted', approvals: 1 });
    expect(await decide(abe)).toMatchObject({ state: 'approved' });
    const { body } = await gateway.mcp('', 'tools/call', { name: 'hr__find_person', arguments: {} });
    expect(body.result.content[0].text).toBe('called find_person');
    const inbox = await gateway.ok('GET /notifications', undefined, dora);
    expect(inbox.notifications[0]).toMatchObject({ event: 'published', submission: id });
  } finally {
    await gateway.stop();
    await upstream.close();
  }
});
