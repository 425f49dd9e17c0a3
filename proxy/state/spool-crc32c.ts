const polynomial = 0x82f63b78;
const slices = 8;
const tables: Int32Array = buildTables();

/** Eight tables in one array: table n advances a byte by n more bytes of zeros ("slicing by 8"). */
function buildTables(): Int32Array {
  const built = new Int32Array(256 * slices);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (polynomial & -(crc & 1));
    built[byte] = crc;
  }
  for (let i = 256; i < built.length; i += 1) {
    const before = built[i - 256] as number;
    built[i] = (before >>> 8) ^ (built[before & 0xff] as number);
  }
  return built;
}

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4) of bytes[start, end), as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1;
  let i = start;
  for (; i + slices <= end; i += slices) {
    const low =
      crc ^ ((bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24));
    crc =
      (tables[1792 + (low & 0xff)] as number) ^
      (tables[1536 + ((low >>> 8) & 0xff)] as number) ^
      (tables[1280 + ((low >>> 16) & 0xff)] as number) ^
      (tables[1024 + (low >>> 24)] as number) ^
      (tables[768 + (bytes[i + 4] as number)] as number) ^
      (tables[512 + (bytes[i + 5] as number)] as number) ^
      (tables[256 + (bytes[i + 6] as number)] as number) ^
      (tables[bytes[i + 7] as number] as number);
  }
  for (; i < end; i += 1) crc = (crc >>> 8) ^ (tables[(crc ^ (bytes[i] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
