import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { modernFactory } from './modern-server.ts';

// A server of the v2 SDK over stdio; started as a program of its own.
serveStdio(modernFactory({ cancelled: [], extra: [] }));
