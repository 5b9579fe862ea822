/** How a client's person hears that a call waits for somebody to agree to it, as far as the client can tell them. */
import type { Approvals } from '../../call/approve/approvals.ts';
import type { ApprovalPending } from '../../call/approve/say.ts';
import type { Caller } from '../../call/authenticate.ts';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { canVisit } from './sign-in.ts';

/** How long a call waits for the decision itself: most clients give a call a minute in all. */
export const decideWithinMs = 45_000;

/** What `elicitation/create` asks for; undefined where the client can neither decide nor send its person to the page. */
export function questionOf(pending: ApprovalPending, capabilities: JsonObject): JsonObject | undefined {
  if (canDecideHere(pending, capabilities)) return formOf(pending);
  if (pending.url === undefined || !canVisit(capabilities)) return undefined;
  return { mode: 'url', url: pending.url, message: pending.message };
}

/** Whether the client's person can be asked for the decision itself, here and now. */
export function canDecideHere({ isForCaller }: ApprovalPending, capabilities: JsonObject): boolean {
  return isForCaller && canFill(capabilities);
}

/** Forms: whoever declares an empty object, or the form itself (MCP 2025-11-25 client/elicitation). */
function canFill({ elicitation }: JsonObject): boolean {
  return isObject(elicitation) && (isObject(elicitation.form) || !isObject(elicitation.url));
}

// Without `mode`: that means a form, to clients of the time before there were others as well.
function formOf({ question }: ApprovalPending): JsonObject {
  return {
    message: question,
    requestedSchema: {
      type: 'object',
      properties: {
        decision: {
          type: 'string',
          title: 'Decision',
          description: 'Whether this exact call may be made.',
          enum: ['approve', 'deny'],
        },
      },
      required: ['decision'],
    },
  };
}

/** What the client's person said. */
export type Reply =
  /** To the form. */
  | 'approve'
  | 'deny'
  /** They went to the page. */
  | 'visit'
  /** Nothing that counts. */
  | 'none';

export function readReply(answer: unknown, wasForm: boolean): Reply {
  if (!isObject(answer)) return 'none';
  if (answer.action === 'decline') return wasForm ? 'deny' : 'none';
  if (answer.action !== 'accept') return 'none';
  if (!wasForm) return 'visit';
  const decision = isObject(answer.content) ? answer.content.decision : undefined;
  return decision === 'approve' || decision === 'deny' ? decision : 'none';
}

/** The caller's own decision, made in their client. That somebody was faster is no error: what stands is what counts. */
export async function decideOwn(
  approvals: Pick<Approvals, 'decide'>,
  id: string,
  caller: Caller,
  verdict: 'approve' | 'deny',
): Promise<void> {
  try {
    await approvals.decide(id, caller, verdict, '');
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'conflict') throw error;
  }
}
