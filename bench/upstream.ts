/** A scripted provider on a raw socket: as little CPU as can be, so that what is measured is the thing between. `node bench/upstream.ts` prints its port. */
import { createServer, type Socket } from 'node:net';

const answer = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_780_000_000,
  model: 'gpt-5.4-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(800) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 250, completion_tokens: 100, total_tokens: 350 },
});
const json = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(answer)}\r\n\r\n${answer}`,
);

const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const frames = [
  ...Array.from({ length: 20 }, (_, i) =>
    frame({ choices: [{ index: 0, delta: { content: `word ${i} ` }, finish_reason: null }], usage: null }),
  ),
  frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
  frame({ choices: [], usage: { prompt_tokens: 250, completion_tokens: 20, total_tokens: 270 } }),
  chunked('data: [DONE]\n\n'),
];
const thinkMs = Number(process.argv[2] ?? 0);

function frame(more: object): Buffer {
  return chunked(
    `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_780_000_000, model: 'gpt-5.4-mini', ...more })}\n\n`,
  );
}

function chunked(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

function stream(socket: Socket): void {
  socket.write(head);
  const send = (): void => {
    for (const part of frames) socket.write(part);
    socket.write('0\r\n\r\n');
  };
  if (thinkMs > 0) setTimeout(send, thinkMs);
  else send();
}

const server = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  let wanted = -1;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (;;) {
      if (wanted < 0) {
        const end = pending.indexOf('\r\n\r\n');
        if (end < 0) return;
        const length = /content-length: (\d+)/i.exec(pending.toString('latin1', 0, end));
        wanted = end + 4 + Number(length?.[1] ?? 0);
      }
      if (pending.length < wanted) return;
      const streams = pending.subarray(0, wanted).includes('"stream":true');
      pending = pending.subarray(wanted);
      wanted = -1;
      if (streams) stream(socket);
      else socket.write(json);
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' && address !== null ? address.port : '');
});
