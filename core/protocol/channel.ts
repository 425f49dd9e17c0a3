/** One message: text, and bytes beside it where a call carries some. */
export interface Message {
  readonly text: string;
  readonly bytes?: Uint8Array;
}

/** How a channel ended: a close code of `core/protocol/session.ts` or of RFC 6455, and words for people. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** Messages both ways, in order, until either side closes. In-process and over TLS alike. */
export interface Channel {
  /** Drops the message silently once the channel is closed: `onClose` reports that to whoever waits for a reply. */
  send(text: string, bytes?: Uint8Array): void;
  /** Returns how to stop. Messages that came before the first listener wait on a message port, and are lost on a socket. */
  onMessage(listener: (message: Message) => void): () => void;
  /** Called once, whichever side closed. */
  onClose(listener: (closing: Closing) => void): void;
  close(code?: number, reason?: string): void;
}

/** The parts of a `MessagePort` of node:worker_threads. */
interface Port {
  postMessage(value: unknown): void;
  on(event: 'message', listener: (value: unknown) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  close(): void;
}

/** A channel within one process. What is neither text nor text with bytes is read as empty text, which no call is. */
export function portChannel(port: Port): Channel {
  const { listeners, closers, emit, end } = createHub();
  let listening = false;
  port.on('close', () => end({ code: 1000, reason: 'the other side is gone' }));
  return {
    send: (text, bytes) => port.postMessage(bytes === undefined ? text : { text, bytes }),
    onMessage(listener) {
      listeners.add(listener);
      if (!listening) port.on('message', (value) => emit(readPosted(value)));
      listening = true;
      return () => void listeners.delete(listener);
    },
    onClose: (listener) => void closers.add(listener),
    close: () => port.close(),
  };
}

function readPosted(value: unknown): Message {
  if (typeof value === 'string') return { text: value };
  const { text, bytes } = (value ?? {}) as { readonly text?: unknown; readonly bytes?: unknown };
  return typeof text === 'string' && bytes instanceof Uint8Array ? { text, bytes } : { text: '' };
}

/** The parts of a `WebSocket` of the package ws. */
interface Socket {
  readonly readyState: number;
  readonly bufferedAmount: number;
  on(event: 'message', listener: (data: Buffer | ArrayBuffer | Buffer[], isBinary: boolean) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

const socketOpen = 1;

/**
 * A channel over an open WebSocket: a text frame, or a binary frame of text and bytes. If a peer leaves more than `unsentBytes`
 * unread, the channel ends, rather than keep messages without bound.
 */
export function socketChannel(socket: Socket, { unsentBytes }: { readonly unsentBytes: number }): Channel {
  const { listeners, closers, emit, end } = createHub();
  let fault: string | undefined;
  socket.on('message', (data, isBinary) => {
    // ws gives one Buffer unless another binaryType is set.
    const message = isBinary ? decodeFrame(data as Buffer) : { text: data.toString() };
    if (message === null) socket.close(1007, 'a binary frame is too short');
    else emit(message);
  });
  socket.on('error', (error) => {
    fault = error.message;
  });
  socket.on('close', (code, reason) => end({ code, reason: reason.toString() || fault || 'the connection was lost' }));
  return {
    send(text, bytes) {
      if (socket.readyState !== socketOpen) return;
      if (socket.bufferedAmount > unsentBytes) {
        fault = `the other side left ${socket.bufferedAmount} bytes unread`;
        socket.terminate();
        return;
      }
      socket.send(bytes === undefined ? text : encodeFrame(text, bytes));
    },
    onMessage(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onClose: (listener) => void closers.add(listener),
    close: (code, reason) => socket.close(code, reason),
  };
}

/** A binary frame: the text's length in bytes (4, big endian), the text as UTF-8, the bytes. */
export function encodeFrame(text: string, bytes: Uint8Array): Buffer {
  const words = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(words.length);
  return Buffer.concat([length, words, bytes]);
}

/** Null where the frame is shorter than it says. */
export function decodeFrame(frame: Buffer): Message | null {
  const end = frame.length < 4 ? Number.POSITIVE_INFINITY : 4 + frame.readUInt32BE();
  return end > frame.length ? null : { text: frame.toString('utf8', 4, end), bytes: frame.subarray(end) };
}

interface Hub {
  readonly listeners: Set<(message: Message) => void>;
  readonly closers: Set<(closing: Closing) => void>;
  emit(message: Message): void;
  end(closing: Closing): void;
}

function createHub(): Hub {
  const listeners: Hub['listeners'] = new Set();
  const closers: Hub['closers'] = new Set();
  return {
    listeners,
    closers,
    emit(message) {
      for (const listener of [...listeners]) listener(message);
    },
    end(closing) {
      const waiting = [...closers];
      closers.clear();
      listeners.clear();
      for (const closer of waiting) closer(closing);
    },
  };
}
