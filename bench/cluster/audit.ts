import { existsSync, readFileSync } from 'node:fs';

/** What the API server wrote down of the operator's calls. */
export interface AuditLog {
  readonly path: string;
  /** Where it ends now. */
  mark(): number;
  /** Calls that changed something since a mark, by `verb resource`. Leases, renewed for as long as an operator leads, are counted apart. */
  writesSince(mark: number): { readonly total: number; readonly leases: number; readonly byKind: ReadonlyMap<string, number> };
}

interface Event {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
}

/** Over a log that the API server appends to; it need not be there yet. */
export function openAuditLog(path: string, user: string): AuditLog {
  const read = (): Buffer => (existsSync(path) ? readFileSync(path) : Buffer.alloc(0));
  return {
    path,
    mark: () => read().length,
    writesSince(mark) {
      const lines = read().subarray(mark).toString().split('\n');
      const events = lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as Event);
      const byKind = new Map<string, number>();
      for (const { verb, user: by, objectRef = {} } of events) {
        const resource = [objectRef.resource, objectRef.subresource].filter((part) => part !== undefined).join('/');
        // A TokenReview is a question.
        if (by.username !== user || readVerbs.includes(verb) || resource === 'tokenreviews') continue;
        byKind.set(`${verb} ${resource}`, (byKind.get(`${verb} ${resource}`) ?? 0) + 1);
      }
      const leases = [...byKind].filter(([kind]) => kind.endsWith(' leases')).reduce((sum, [, count]) => sum + count, 0);
      const all = [...byKind.values()].reduce((sum, count) => sum + count, 0);
      return { total: all - leases, leases, byKind };
    },
  };
}

const readVerbs: readonly string[] = ['get', 'list', 'watch'];
