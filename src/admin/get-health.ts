import { z } from 'zod';
import { defineAction, noInput } from './action.ts';
import { statusFor } from './status-for.ts';

export const getHealth = defineAction({
  name: 'get_health',
  title: 'How the gateway fares',
  description:
    'Every upstream with its state, what is missing and why, the state of breakers, the journal and the configuration, and how many calls wait for a person.',
  roles: ['admin', 'auditor', 'developer', 'approver'],
  isReadOnly: true,
  route: 'GET /health',
  input: noInput,
  output: z.object({}).loose(),
  async run({ status, approvals }, caller) {
    // A store that cannot be asked is no reason to say nothing.
    const pending = (await approvals.countPending()) ?? null;
    return { ...statusFor(caller, status()), approvals: { pending } };
  },
});
