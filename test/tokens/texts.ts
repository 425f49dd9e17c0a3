import fc from 'fast-check';

/** Byte pair encoding takes quadratic time on a run of one kind of letter. */
const longestRun = 2000;

const specials = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|begin_of_text|>',
  '<|eot_id|>',
  '<|python_tag|>',
  '<start_of_turn>',
  '<bos>',
  '<unused42>',
  '[INST]',
  '[TOOL_CALLS]',
  '</s>',
  '<tool_call>',
  '<META_START>',
  '<EOT>',
  '\n\nHuman:',
];

/** Pieces that normalising lengthens or shortens, that no vocabulary has whole, or that only look like one character. */
const pieces = [
  '\ufdfa',
  '\u{1d163}',
  '\u{1ee00}',
  // NFC lengthens the notes, NFKC shortens the letters.
  '\u{1d163}'.repeat(10) + '\u{1ee00}'.repeat(40),
  '\u0958',
  '\uff21',
  '\u00bd',
  '\ufb03',
  '\u3300',
  'e\u0301',
  'é\u0323',
  'a\u0315\u0300\u0334',
  '\u0e33',
  '\ud800',
  '\udc00',
  '👩‍👩‍👧‍👦',
  '🏴\u{e0067}\u{e0062}\u{e007f}',
  '🇺🇳',
  '\u202eשלום',
  'مرحبا\u200f',
  '漢字',
  '안녕',
  'नमस्ते',
  '\u{10ffff}',
  '\u{2b81d}',
  '\u0000',
  '\ufeff',
  '\u00ad',
  '\\u0041\\n\\"',
  '﷽',
  'a̐éö̲',
  '\u{12031}',
];

const runs = fc
  .tuple(fc.constantFrom('a', 'é', '0', ' ', '\n', '\t', '\r\n', '_', '=', 'ab', '字', '🙂', '\u0301', '/', '"', '<|'), fc.nat(longestRun))
  .map(([unit, length]) => unit.repeat(Math.ceil(length / unit.length)));

const piece = fc.oneof(
  fc.constantFrom(...specials),
  fc.constantFrom(...pieces),
  fc.tuple(fc.constantFrom(...pieces), fc.integer({ min: 1, max: 100 })).map(([unit, count]) => unit.repeat(count)),
  runs,
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.string({ maxLength: 100 }),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('utf8')),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64')),
  fc.bigInt({ min: 0n, max: 10n ** 60n }).map(String),
  fc.double().map(String),
  fc.json({ maxDepth: 4 }),
);

/** Texts that a caller could choose to get more tokens than their bytes. */
export const hostileText: fc.Arbitrary<string> = fc.array(piece, { maxLength: 6 }).map((found) => found.join(''));
