import assert from 'node:assert/strict';
import { unlinkSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Watch, watchPaths } from './watch.ts';

interface Observed {
  readonly root: string;
  readonly watch: Watch;
  readonly changes: () => number;
  /** Resolves at the next change; rejects after ten seconds. Users are promised one second, which a busy machine may exceed. */
  readonly next: () => Promise<void>;
}

describe('watchPaths', { concurrency: true }, () => {
  let base = '';
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'keyforge-watch-'));
  });
  after(() => rm(base, { recursive: true }));

  async function observe(arrange: (root: string) => Promise<void>, names: readonly string[]): Promise<Observed> {
    const root = await mkdtemp(join(base, 'w-'));
    await arrange(root);
    let changes = 0;
    let wake = (): void => undefined;
    const watch = watchPaths(
      names.map((name) => join(root, name)),
      () => {
        changes += 1;
        wake();
      },
    );
    await watch.ready;
    const next = () =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('no change was seen within ten seconds')), 10_000);
        wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
    return { root, watch, changes: () => changes, next };
  }

  const oneFile = (root: string) => writeFile(join(root, 'a.yaml'), 'ttl: 1h\n');

  it('reports an edit, once for several writes', async () => {
    const { root, watch, changes, next } = await observe(oneFile, ['a.yaml']);
    const change = next();
    // Within one turn: a change is reported after 50 ms without another.
    writeFileSync(join(root, 'a.yaml'), 'ttl: 2h\n');
    writeFileSync(join(root, 'a.yaml'), 'ttl: 33h\n');
    await change;
    await sleep(350);
    assert.equal(changes(), 1);
    watch.close();
  });

  it('reports a replacement by rename as one change, and edits after it', async () => {
    const { root, watch, changes, next } = await observe(oneFile, ['a.yaml']);
    for (const text of ['ttl: 2h\n', 'ttl: 3h\n']) {
      const change = next();
      await writeFile(join(root, '.a.yaml.tmp'), text);
      await rename(join(root, '.a.yaml.tmp'), join(root, 'a.yaml'));
      await change;
    }
    assert.equal(changes(), 2);
    watch.close();
  });

  it('does not report an editor that removes and re-creates a file as a deletion', async () => {
    // If a busy machine delays the editor for longer than 300 ms, the watch rightly reports a deletion: retry.
    for (let wasQuick = false; !wasQuick; ) {
      const { root, watch, changes, next } = await observe(oneFile, ['a.yaml']);
      const change = next();
      const startMs = performance.now();
      unlinkSync(join(root, 'a.yaml'));
      await sleep(80);
      const before = changes();
      writeFileSync(join(root, 'a.yaml'), 'ttl: 2h\n');
      wasQuick = performance.now() - startMs < 250;
      await change;
      await sleep(350);
      if (wasQuick) assert.deepEqual([before, changes()], [0, 1]);
      watch.close();
    }
  });

  it('reports a deletion, and a re-creation', async () => {
    const { root, watch, next } = await observe(oneFile, ['a.yaml']);
    const deletion = next();
    await unlink(join(root, 'a.yaml'));
    await deletion;
    const creation = next();
    await oneFile(root);
    await creation;
    watch.close();
  });

  it('sees a mounted ConfigMap swap its data', async () => {
    const { root, watch, next } = await observe(
      async (path) => {
        for (const version of ['..1', '..2']) {
          await mkdir(join(path, version));
          await oneFile(join(path, version));
        }
        await symlink('..1', join(path, '..data'));
        await symlink(join('..data', 'a.yaml'), join(path, 'a.yaml'));
      },
      ['.'],
    );
    const change = next();
    await symlink('..2', join(root, '..tmp'));
    await rename(join(root, '..tmp'), join(root, '..data'));
    await change;
    watch.close();
  });

  it('follows new folders, and a folder that is removed and made again', async () => {
    const { root, watch, next } = await observe((path) => mkdir(join(path, 'm')), ['m']);
    const added = next();
    await mkdir(join(root, 'm', 'sub'));
    await oneFile(join(root, 'm', 'sub'));
    await added;
    const removed = next();
    await rm(join(root, 'm'), { recursive: true });
    await removed;
    const again = next();
    await mkdir(join(root, 'm'));
    await oneFile(join(root, 'm'));
    await again;
    const edited = next();
    await writeFile(join(root, 'm', 'a.yaml'), 'ttl: 9h\n');
    await edited;
    watch.close();
  });

  it('reports nothing if nothing changes, if other files change, or after close', async () => {
    const { root, watch, changes } = await observe(oneFile, ['a.yaml']);
    await writeFile(join(root, 'ledger.db'), 'x');
    await writeFile(join(root, 'other.yaml'), 'x');
    await sleep(400);
    watch.close();
    await writeFile(join(root, 'a.yaml'), 'ttl: 2h\n');
    await sleep(400);
    assert.equal(changes(), 0);
  });
});
