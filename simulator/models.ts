import type { SimulatedModel } from './types.ts';

/** Public list prices in pico-USD per token; typed in here so that the simulation's bill owes nothing to KeyForge's price book. */
export const simulatedModels: readonly SimulatedModel[] = [
  {
    name: 'gpt-5.4-mini',
    family: 'openai',
    price: { input: 750_000n, cachedInput: 75_000n, output: 4_500_000n },
    maxOutputTokens: 128_000,
  },
  {
    name: 'gpt-5.4',
    family: 'openai',
    price: { input: 2_500_000n, cachedInput: 250_000n, output: 15_000_000n },
    maxOutputTokens: 128_000,
    reasoningTokens: 16,
    caches: true,
  },
  {
    name: 'gpt-5.6-luna',
    family: 'openai',
    price: { input: 200_000n, cachedInput: 20_000n, output: 1_200_000n },
    maxOutputTokens: 128_000,
    reasoningTokens: 10,
  },
  { name: 'text-embedding-3-small', family: 'openai', price: { input: 20_000n, output: 0n }, embeds: true },
  {
    name: 'claude-haiku-4-5',
    family: 'anthropic',
    price: { input: 1_000_000n, cachedInput: 100_000n, cacheWrite: 1_250_000n, cacheWrite1h: 2_000_000n, output: 5_000_000n },
    maxOutputTokens: 64_000,
  },
  {
    name: 'claude-sonnet-5',
    family: 'anthropic',
    price: { input: 2_000_000n, cachedInput: 200_000n, cacheWrite: 2_500_000n, cacheWrite1h: 4_000_000n, output: 10_000_000n },
    maxOutputTokens: 64_000,
    reasoningTokens: 12,
    caches: true,
  },
  {
    name: 'gemini-2.5-flash',
    family: 'gemini',
    price: { input: 300_000n, cachedInput: 30_000n, output: 2_500_000n },
    maxOutputTokens: 65_535,
    reasoningTokens: 8,
    caches: true,
  },
  { name: 'gemini-embedding-001', family: 'gemini', price: { input: 150_000n, output: 0n }, embeds: true },
];
