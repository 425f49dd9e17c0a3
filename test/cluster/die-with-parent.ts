import type { Socket } from 'node:net';

// Loaded before a program under test: it ends when the test process that holds its standard input does, however that ended.
(process.stdin as Socket).on('end', () => process.exit(137)).resume();
// Which does not keep it from ending by itself.
(process.stdin as Socket).unref();
