import { type JsonPatchOperation, type KubeClient, KubeError, type KubeObject, KubeUnreachable } from '../kube/types.ts';

/** An API server that holds one Secret in memory and counts its requests. */
export interface FakeSecrets {
  readonly client: KubeClient;
  /** Successful writes and reads so far. */
  readonly counts: { reads: number; writes: number };
  /** The Secret; tests may replace it. */
  stored: KubeObject | null;
  /** True: every call fails. */
  away: boolean;
}

/** Starts empty. Calls take effect in the order in which they are made, each a turn of the event loop later. */
export function fakeSecrets(): FakeSecrets {
  let version = 0;
  const fake: FakeSecrets = { client: client(), counts: { reads: 0, writes: 0 }, stored: null, away: false };

  async function answer(): Promise<void> {
    await new Promise(setImmediate);
    if (fake.away) throw new KubeUnreachable('connection refused');
  }

  function write(object: KubeObject): KubeObject {
    version += 1;
    fake.counts.writes += 1;
    fake.stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    return fake.stored;
  }

  function patched(object: KubeObject, operation: JsonPatchOperation): KubeObject {
    if (operation.op === 'add' && operation.path === '/data') return { ...object, data: operation.value };
    if (operation.op !== 'test' || operation.path !== '/metadata/resourceVersion') throw new Error(`unexpected ${operation.path}`);
    if (object.metadata.resourceVersion !== operation.value) throw new KubeError(422, 'Invalid', 'the test failed');
    return object;
  }

  function client(): KubeClient {
    return {
      ...unused,
      async get() {
        await answer();
        fake.counts.reads += 1;
        return fake.stored;
      },
      async create(_, object) {
        await answer();
        if (fake.stored !== null) throw new KubeError(409, 'AlreadyExists', 'it exists');
        return write(object);
      },
      async patch(_, __, operations) {
        await answer();
        if (fake.stored === null) throw new KubeError(404, 'NotFound', 'there is none');
        return write(operations.reduce(patched, fake.stored));
      },
    };
  }
  return fake;
}

function never(): never {
  throw new Error('not expected');
}

const unused: KubeClient = {
  get: never,
  list: never,
  create: never,
  replace: never,
  apply: never,
  patch: never,
  remove: never,
  watch: never,
  version: never,
  close: never,
};
