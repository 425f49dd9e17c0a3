import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretForms } from '../credentials/secret-forms.ts';
import { Redactor } from './redactor.ts';

const value = 'sk-proj-Ab1_cD2-eF3+gH4/iJ5';
const secret = new SecretForms(value);

function escaped(which: (index: number) => boolean): string {
  return [...value].map((letter, i) => (which(i) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter)).join('');
}

const forms = [
  value,
  ...['', 'a', 'ab', 'abc'].flatMap((before) => [
    Buffer.from(`${before}${value}and more`).toString('base64'),
    Buffer.from(`${before}${value}`).toString('base64url'),
  ]),
  escaped(() => true),
  escaped((i) => i % 3 === 0),
  value.replaceAll('/', '\\/'),
  encodeURIComponent(value),
  encodeURIComponent(value)
    .toLowerCase()
    .replace(value.slice(0, 19).toLowerCase(), value.slice(0, 19))
    .replace('gh4', 'gH4')
    .replace('ij5', 'iJ5'),
  value.replaceAll(/[^\w.-]/g, (letter) => `&#${letter.charCodeAt(0)};`),
  value.replaceAll(/[^\w.-]/g, (letter) => `&#x${letter.charCodeAt(0).toString(16)};`),
  value.replaceAll(/[^\w.-]/g, (letter) => `&#X${letter.charCodeAt(0).toString(16).toUpperCase()};`),
  value.replaceAll('+', '%2B').replaceAll('/', '\\u002f'),
  escaped((i) => i === 0).replace('\\u0073', '\\u0073'.toUpperCase().replace('\\U', '\\u')),
];

/** Everything that a reader could turn back into the credential. */
function reveals(text: string): boolean {
  const hex = /\\u00([0-9a-f]{2})|%([0-9a-f]{2})|&#x([0-9a-f]{2});/gi;
  const plain = text
    .replaceAll(hex, (_, json?: string, url?: string, html?: string) => String.fromCharCode(Number.parseInt(json ?? url ?? html ?? '', 16)))
    .replaceAll(/&#(\d+);/g, (_, decimal: string) => String.fromCharCode(Number(decimal)))
    .replaceAll('\\/', '/');
  const runs = text.match(/[A-Za-z0-9+/_-]{8,}/g) ?? [];
  return [plain, ...runs.flatMap((run) => [0, 1, 2, 3].map((skip) => Buffer.from(run.slice(skip), 'base64').toString('latin1')))].some(
    (each) => each.includes(value),
  );
}

test('a credential is removed in every form, and nothing else is touched', () => {
  for (const form of forms) {
    const text = `{"error":"the key ${form} is wrong"}`;
    assert.ok(reveals(text), form);
    const clean = secret.removed(Buffer.from(text)).toString();
    assert.ok(!reveals(clean) && clean.includes('[redacted]'), clean);
    assert.ok(clean.startsWith('{"error":"the key ') && clean.endsWith(' is wrong"}'), clean);
    assert.equal(secret.within(form).includes('[redacted]'), true);
  }
  const other = Buffer.from('{"text":"sk-proj-Ab1_cD2 \\u0073k-proj"}');
  assert.equal(secret.removed(other), other);
});

test('a credential is found whatever its first character, and if it has quotes, signs of escapes and no long part', () => {
  for (const odd of ['/+a/b+c=', 'a%41b&lt;c"d\\e', '&&&&&&&&', '100%25/sure', "it's<a>key"]) {
    const forms = new SecretForms(odd);
    const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };
    const html = odd.replaceAll(/[&<>"']/g, (letter) => entities[letter] ?? '');
    for (const form of [odd, JSON.stringify(odd).slice(1, -1), encodeURIComponent(odd).replaceAll("'", '%27'), html]) {
      // A fully escaped form has no part that stands unchanged.
      if (odd === '&&&&&&&&' && form !== odd) continue;
      assert.equal(forms.removed(Buffer.from(`(${form})`)).toString(), '([redacted])', form);
      const redactor = new Redactor(forms);
      const pieces = [...`(${form})`].map((letter) => redactor.push(Buffer.from(letter)).toString());
      assert.equal(pieces.join('') + (redactor.flush()?.toString() ?? ''), '([redacted])', form);
    }
  }
});

test('it is found across any chunks, and what does not begin it is never held back', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...forms),
      fc.string({ maxLength: 20 }),
      fc.string({ maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (form, before, after, cuts) => {
        const bytes = Buffer.from(`${before} ${form} ${after}`);
        const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const redactor = new Redactor(secret);
        const pieces = [...ends, bytes.length].map((end, i) => redactor.push(bytes.subarray(ends[i - 1] ?? 0, end)));
        const text = Buffer.concat([...pieces, redactor.flush() ?? Buffer.alloc(0)]).toString();
        assert.ok(!reveals(text), text);
      },
    ),
    { numRuns: 2000 },
  );
  const cut = new Redactor(secret);
  assert.equal(cut.push(Buffer.from(`the key ${value.slice(0, -1)}`)).toString(), 'the key ');
  assert.equal(cut.flush()?.toString(), '[redacted]');
  const redactor = new Redactor(secret);
  const event = Buffer.from('data: {"delta":"task"}\n\n');
  assert.equal(redactor.push(event), event);
  assert.equal(redactor.push(Buffer.from('data: "tas')).toString(), 'data: "ta');
  assert.equal(redactor.push(Buffer.from('k"\n\n')).toString(), 'sk"\n\n');
});
