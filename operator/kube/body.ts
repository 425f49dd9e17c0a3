import { StringDecoder } from 'node:string_decoder';

/** A body exceeds the limit; nothing of it is kept. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

/** Reads the whole body as text; rejects with BodyTooLarge over `maxBytes`, and if the stream does. */
export async function readBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new BodyTooLarge(`over ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Yields each complete, non-empty line; rejects with BodyTooLarge if one is longer than `maxLength`. */
export async function* readLines(body: AsyncIterable<Uint8Array>, maxLength: number): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let parts: string[] = []; // of the incomplete line; joined once, because otherwise a line in many chunks costs the square of its length
  let length = 0;
  for await (const chunk of body) {
    const pieces = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)).split('\n');
    const rest = pieces.pop() ?? '';
    for (const piece of pieces) {
      const line = parts.join('') + piece;
      parts = [];
      length = 0;
      if (line !== '') yield line;
    }
    parts.push(rest);
    length += rest.length;
    if (length > maxLength) throw new BodyTooLarge(`a line over ${maxLength} characters`);
  }
}
