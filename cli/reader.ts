import { delimiter } from 'node:path';
import { parseArgs } from 'node:util';
import { type Address, parseAddress } from './address.ts';

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Flags and their `KEYFORGE_*` equivalents as they were given; what cannot be read becomes a problem. */
export interface Reader {
  readonly positionals: readonly string[];
  readonly problems: readonly string[];
  problem(message: string): void;
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  flag(name: string): boolean;
  address(name: string, standard: string): Address;
}

/** Names and kinds of a command's flags. */
export type Flags = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string; readonly multiple?: boolean }>>;

/** Reads the arguments of a command; a flag wins over its variable. */
export function reader(args: readonly string[], environment: Environment, options: Flags): Reader {
  const problems: string[] = [];
  const problem = (message: string): void => void problems.push(message);
  const parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true });
  for (const token of parsed.tokens) {
    if (token.kind !== 'option') continue;
    const option = options[token.name];
    if (option === undefined) problem(`unknown flag ${token.rawName}`);
    else if (option.type === 'string' && !isValue(token)) problem(`${token.rawName} needs a value`);
    else if (option.type === 'boolean' && token.value !== undefined) problem(`${token.rawName} takes no value`);
  }
  const variable = (name: string): string => `KEYFORGE_${name.toUpperCase().replaceAll('-', '_')}`;
  const given = (name: string): string | undefined => environment[variable(name)] || undefined;

  function text(name: string): string | undefined {
    const value = parsed.values[name];
    return typeof value === 'string' && value !== '' ? value : given(name);
  }

  function flag(name: string): boolean {
    if (parsed.values[name] !== undefined) return true;
    const value = given(name);
    if (value === undefined || value === 'true' || value === 'false') return value === 'true';
    problem(`${variable(name)}: write true or false`);
    return false;
  }

  return {
    positionals: parsed.positionals,
    problems,
    problem,
    text,
    flag,
    texts(name) {
      const values = parsed.values[name];
      const list = Array.isArray(values) ? values.filter((value) => typeof value === 'string' && value !== '') : [];
      return list.length > 0 ? (list as string[]) : (given(name)?.split(delimiter) ?? []);
    },
    address(name, standard) {
      const value = text(name) ?? standard;
      const address = parseAddress(value);
      if (address === null) problem(`--${name}: ${value} is no address; write HOST:PORT such as ${standard}`);
      return address ?? { host: '', port: 0 };
    },
  };
}

/** `--data --json` forgot a value; `--data=--json` means it. */
function isValue({ value, inlineValue }: { readonly value: string | undefined; readonly inlineValue: boolean | undefined }): boolean {
  return value !== undefined && value !== '' && (inlineValue === true || !value.startsWith('-'));
}
