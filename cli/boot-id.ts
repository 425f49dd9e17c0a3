import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/** Names the kernel's present run: after another, unsynced tails of files may be missing. */
export function bootId(): string {
  const known = readText('/proc/sys/kernel/random/boot_id')?.trim();
  // Elsewhere than Linux: when the machine came up, to ten minutes. A false "other boot" burns held money, never more.
  return known ?? `up-${Math.round((Date.now() / 1000 - uptime()) / 600)}`;
}

/** The text of a file; null where it cannot be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
