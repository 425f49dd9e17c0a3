import type { KubeClient } from '../kube/types.ts';

/** A write was about to be made by a replica that does not lead. */
export class NotLeading extends Error {
  override readonly name = 'NotLeading';
}

/** The client, but its writes are refused where `leads` is false: asked right before each, since a lease can go at any time. */
export function leadOnly(client: KubeClient, leads: () => boolean): KubeClient {
  const guarded =
    <A extends readonly unknown[], R>(write: (...given: A) => Promise<R>): ((...given: A) => Promise<R>) =>
    async (...given) => {
      if (!leads()) throw new NotLeading('this replica does not lead; the one that does will write');
      return write(...given);
    };
  return {
    ...client,
    create: guarded(client.create),
    replace: guarded(client.replace),
    apply: guarded(client.apply),
    patch: guarded(client.patch),
    remove: guarded(client.remove),
  };
}
