import { readFile } from 'node:fs/promises';
import type { RawDocument } from '../../core/manifest/parse.ts';
import type { Problem } from '../../core/problem.ts';
import { errorCode, listFiles } from '../files/list.ts';
import { readYaml } from './yaml.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'cannot be read; check its permissions',
  ELOOP: 'a link that leads to itself',
};

function failure(file: string, code: string): Problem {
  return { code: 'unreadable_file', source: { file }, message: reasons[code] ?? `cannot be read (${code})` };
}

/**
 * Reads every manifest below the paths, files in a stable order. A path that does not exist is a problem. If `missing` is
 * `'gone'`, as for a reload of watched files, its objects count as deleted instead.
 */
export async function loadPaths(
  paths: readonly string[],
  missing: 'problem' | 'gone' = 'problem',
): Promise<{ readonly documents: readonly RawDocument[]; readonly problems: readonly Problem[] }> {
  const listing = await listFiles(paths);
  const documents: RawDocument[] = [];
  const problems: Problem[] = listing.failures
    .filter(({ code }) => code !== 'ENOENT' || missing === 'problem')
    .map(({ path, code }) => failure(path, code));
  for (const file of listing.files) {
    try {
      const read = readYaml(file, await readFile(file, 'utf8'));
      documents.push(...read.documents);
      problems.push(...read.problems);
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'ENOENT' || missing === 'problem') problems.push(failure(file, code));
    }
  }
  return { documents, problems };
}
