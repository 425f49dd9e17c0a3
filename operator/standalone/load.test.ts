import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { describeProblem } from '../../core/problem.ts';
import { loadPaths } from './load.ts';

describe('loadPaths', () => {
  let root = '';
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'keyforge-load-'));
  });
  after(() => rm(root, { recursive: true }));

  async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    const path = join(root, name);
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(path, file, '..'), { recursive: true });
      await writeFile(join(path, file), text);
    }
    return path;
  }

  async function valuesOf(...paths: readonly string[]): Promise<readonly unknown[]> {
    const { documents, problems } = await loadPaths(paths);
    assert.deepEqual(problems, []);
    return documents.map(({ value }) => value);
  }

  it('reads folders recursively, sorted, manifests only, and passes over what is hidden', async () => {
    const path = await folder('tree', {
      'b.yaml': 'b',
      'a/z.yml': 'z',
      'a/c.json': '"c"',
      'notes.txt': 'n',
      '.git/x.yaml': 'x',
      '.swp.yaml': 's',
    });
    assert.deepEqual(await valuesOf(path), ['c', 'z', 'b']);
  });

  it('reads a named file of any ending, and each file once', async () => {
    const path = await folder('named', { policy: 'p', 'b.yaml': 'b' });
    assert.deepEqual(await valuesOf(join(path, 'policy'), join(path, 'b.yaml'), path), ['p', 'b']);
  });

  it('reads a mounted ConfigMap once, through its links', async () => {
    const path = await folder('mount', { '..2026_01/a.yaml': 'a' });
    await symlink('..2026_01', join(path, '..data'));
    await symlink(join('..data', 'a.yaml'), join(path, 'a.yaml'));
    assert.deepEqual(await valuesOf(path), ['a']);
  });

  it('does not follow a link back to a folder above', async () => {
    const path = await folder('loop', { 'a.yaml': 'a' });
    await symlink('..', join(path, 'up'));
    assert.ok((await valuesOf(path)).includes('a'));
  });

  it('reports a path that does not exist, together with the problems of other files', async () => {
    const path = await folder('broken', { 'a.yaml': 'a: [' });
    const { problems } = await loadPaths([join(root, 'nowhere.yaml'), path]);
    assert.deepEqual(
      problems.map((problem) => [basename(problem.source?.file ?? ''), describeProblem(problem)]),
      [
        ['nowhere.yaml', 'no such file or folder'],
        ['a.yaml', 'not valid YAML: the indentation does not fit the lines above, or a bracket is not closed'],
      ],
    );
  });

  it('takes a missing path for deleted on a reload', async () => {
    assert.deepEqual(await loadPaths([join(root, 'nowhere.yaml')], 'gone'), { documents: [], problems: [] });
  });
});
