import assert from 'node:assert/strict';
import { test } from 'node:test';
import oracle from 'canonicalize';
import fc from 'fast-check';
import { canonicalize } from './canonical.ts';

/** RFC 8785, appendix B: IEEE 754 bits and what must be written. */
const numbers: readonly (readonly [string, string])[] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
];

test('numbers are written as RFC 8785 lists them', () => {
  for (const [bits, text] of numbers) {
    const value = Buffer.from(bits, 'hex').readDoubleBE();
    assert.equal(canonicalize(value), text);
    assert.equal(canonicalize({ b: 0, a: value }), `{"a":${text},"b":0}`);
  }
});

test('members are sorted by UTF-16 code units, as in RFC 8785 section 3.2.3', () => {
  const members = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
  assert.equal(canonicalize(members), '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}');
  assert.equal(canonicalize({ '2': 'b', '10': 'a' }), '{"10":"a","2":"b"}');
});

test('undefined members are left out, in sorted and in unsorted data', () => {
  assert.equal(canonicalize({ a: 1, b: undefined, c: 2 }), '{"a":1,"c":2}');
  assert.equal(canonicalize({ c: 2, b: undefined, a: 1 }), '{"a":1,"c":2}');
});

test('what JSON cannot carry is refused in every position', () => {
  const refused = ['\ud800', 'x\udc00', Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 0, Symbol('s'), undefined];
  for (const value of refused) {
    assert.throws(() => canonicalize(value), TypeError);
    assert.throws(() => canonicalize([value]), TypeError);
    assert.throws(() => canonicalize({ b: 1, a: [value] }), TypeError);
    assert.throws(() => canonicalize({ a: 1, b: { c: [value] } }), TypeError);
  }
  assert.throws(() => canonicalize({ '\ud800': 1 }), TypeError);
  assert.throws(() => canonicalize({ b: 1, '\ud800': 1, a: 1 }), TypeError);
});

test('any JSON value gives the bytes of the reference implementation', () => {
  const values = fc.jsonValue({ noUnicodeString: false }).filter((value) => JSON.stringify(value).isWellFormed());
  fc.assert(
    fc.property(values, (value) => {
      const expected = (oracle as unknown as (value: unknown) => string)(value);
      assert.equal(canonicalize(value), expected);
      assert.equal(canonicalize(JSON.parse(expected)), expected);
    }),
    { numRuns: 300 },
  );
});
