import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { legacyServer, newLegacyState } from './legacy-tools.ts';

// A server of the v1 SDK over stdio; started as a program of its own.
await legacyServer(newLegacyState()).connect(new StdioServerTransport());
