import { getHeapStatistics } from 'node:v8';

/** What a body in flight takes at most, in its own size: as received, as changed for the provider, and as parsed for a moment. */
const heapShare = 4;
const containerShare = 6;

/**
 * The bytes of request bodies that this process can hold: from the limit of its heap, where bodies are parsed, and from the
 * memory of its container, if that has a limit. 38 MiB in the image (a heap of 128 MiB, a container of 256 MiB).
 */
export function bodyBudgetBytes(): number {
  const container = process.constrainedMemory();
  const byHeap = getHeapStatistics().heap_size_limit / heapShare;
  return Math.floor(container > 0 ? Math.min(byHeap, container / containerShare) : byHeap);
}
