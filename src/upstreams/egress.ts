import { isIP } from 'node:net';
import type { Dispatcher } from 'undici';
import type { Egress } from './mcp/http.ts';

export const noEgress: Egress = { dispatcherFor: async () => undefined };
export { type Dispatcher, isIP };
