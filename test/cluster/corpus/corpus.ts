import { badKeys } from './bad-keys.ts';
import { badPools } from './bad-pools.ts';
import { bounds } from './bounds.ts';
import { empty } from './empty.ts';
import { good } from './good.ts';
import type { CorpusCase } from './manifests.ts';

/** Every field, every rule and the borders. */
export const corpus: readonly CorpusCase[] = [...good, ...badKeys, ...badPools, ...empty, ...bounds];
