import { delimiter } from 'node:path';
import { parseArgs } from 'node:util';
import type { Environment } from '../config.ts';

/** Where to listen. Port 0: any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Every mistake in flags and environment. */
export interface Misuse {
  readonly problems: readonly string[];
}

/** Names and kinds of a command's flags. */
export type Flags = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string; readonly multiple?: boolean }>>;

/** Levels of pino. */
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** A command's flags and their `KEYFORGE_*` equivalents as they were given; a flag wins. What cannot be read becomes a problem. */
export class Reader {
  readonly positionals: readonly string[];
  readonly #problems: string[] = [];
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #environment: Environment;

  constructor(args: readonly string[], environment: Environment, flags: Flags) {
    const { positionals, values, tokens } = parseArgs({
      args: [...args],
      options: flags,
      allowPositionals: true,
      strict: false,
      tokens: true,
    });
    this.positionals = positionals;
    this.#values = values;
    this.#environment = environment;
    for (const token of tokens) {
      if (token.kind !== 'option') continue;
      const flag = flags[token.name];
      if (flag === undefined) this.problem(`unknown flag ${token.rawName}`);
      else if (flag.type === 'string' && !isValue(token)) this.problem(`${token.rawName} needs a value`);
      else if (flag.type === 'boolean' && token.value !== undefined) this.problem(`${token.rawName} takes no value`);
    }
  }

  problem(message: string): void {
    this.#problems.push(message);
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' && value !== '' ? value : this.#variable(name);
  }

  /** Empty where it is missing, which is a problem. */
  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) this.problem(`--${name} is missing (or ${variableOf(name)})`);
    return value ?? '';
  }

  texts(name: string): readonly string[] {
    const values = this.#values[name];
    const given = Array.isArray(values) ? values.filter((value) => typeof value === 'string' && value !== '') : [];
    return given.length > 0 ? given : (this.#variable(name)?.split(delimiter) ?? []);
  }

  flag(name: string): boolean {
    if (this.#values[name] !== undefined) return true;
    const value = this.#variable(name);
    if (value === undefined || value === 'true' || value === 'false') return value === 'true';
    this.problem(`${variableOf(name)}: write true or false`);
    return false;
  }

  address(name: string, standard: string): Address {
    const text = this.text(name) ?? standard;
    const address = parseAddress(text);
    if (address === null) this.problem(`--${name}: ${text} is no address; write HOST:PORT such as ${standard}`);
    return address ?? { host: '', port: 0 };
  }

  /** A whole number, 0 included. */
  count(name: string, standard: number): number {
    const text = this.text(name) ?? String(standard);
    if (!/^\d{1,9}$/.test(text)) this.problem(`--${name}: ${text} is no whole number; write one such as 1024`);
    return Number(text);
  }

  /** Origins of pages, joined by commas. */
  origins(name: string): readonly string[] {
    const origins =
      this.text(name)
        ?.split(',')
        .map((origin) => origin.trim()) ?? [];
    for (const origin of origins) {
      if (/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(origin)) continue;
      this.problem(`--${name}: ${origin} is no origin; name each page's as its browser does, such as http://localhost:3000`);
    }
    return origins;
  }

  /** `--log-level`. */
  logLevel(standard: string): string {
    const level = this.text('log-level') ?? standard;
    if (!logLevels.includes(level)) this.problem(`--log-level: ${level} is none of ${logLevels.join(', ')}`);
    return level;
  }

  noWords(): void {
    if (this.positionals.length > 0) this.problem(`unexpected words: ${this.positionals.join(' ')}`);
  }

  /** What was read, unless there were problems. */
  result<T extends object>(options: T): T | Misuse {
    return this.#problems.length > 0 ? { problems: this.#problems } : options;
  }

  #variable(name: string): string | undefined {
    return this.#environment[variableOf(name)] || undefined;
  }
}

function variableOf(flag: string): string {
  return `KEYFORGE_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** `--data --json` forgot a value; `--data=--json` means it. */
function isValue({ value, inlineValue }: { readonly value: string | undefined; readonly inlineValue: boolean | undefined }): boolean {
  return value !== undefined && value !== '' && (inlineValue === true || !value.startsWith('-'));
}

/** `HOST:PORT` or `[IPV6]:PORT`; null where it is none. */
function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port > 65_535 ? null : { host, port };
}

/** True for addresses that only this machine reaches, and for one that could not be read and was reported already. */
export function isLoopback({ host }: Address): boolean {
  return host === '' || host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
