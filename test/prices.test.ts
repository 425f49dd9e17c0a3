import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { currentBudgets } from '../scripts/prices.ts';

test('docs/budgets.md lists where the sources of prices differ, as `npm run prices` writes it', () => {
  assert.equal(readFileSync(join(import.meta.dirname, '..', 'docs', 'budgets.md'), 'utf8'), currentBudgets(), 'run: npm run prices');
});
