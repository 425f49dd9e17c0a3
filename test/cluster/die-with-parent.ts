// Loaded before a program under test: it ends when the test process that holds its standard input does, however that ended.
process.stdin.on('end', () => process.exit(137)).resume();
