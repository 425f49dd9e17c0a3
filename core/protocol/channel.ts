/** One message: text, and bytes if a call carries some. */
export interface Message {
  readonly text: string;
  readonly bytes?: Uint8Array;
}

/** How a channel ended: a close code of `core/protocol/session.ts` or of RFC 6455, and a reason for people. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** Messages both ways, in order, until either side closes; in one process or over TLS. */
export interface Channel {
  /** Sends a message. If the channel is closed, it drops the message: `onClose` has reported that. */
  send(text: string, bytes?: Uint8Array): void;
  /** Returns a function that stops. Before the first listener, a message port keeps messages and a socket loses them. */
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

/** A channel within one process. A malformed message becomes empty text, which is no call. */
export function portChannel(port: Port): Channel {
  const { listeners, closers, emit, end } = createHub();
  let listening = false;
  port.on('close', () => end({ code: 1000, reason: 'the other side closed the channel' }));
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
 * A channel over an open WebSocket: text frames, and binary frames of text and bytes. If a peer leaves more than `unsentBytes`
 * unread, the channel ends, so that memory stays bounded.
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

/** Null if the frame is shorter than its header says. */
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
