import type { Json } from './types.ts';

/** A small JSON value that fits a JSON Schema (also Gemini's upper-case dialect of it); deterministic. */
export function schemaInstance(schema: unknown, depth = 0): unknown {
  if (typeof schema !== 'object' || schema === null || depth > 12) return {};
  const node = schema as Json;
  if ('const' in node) return node['const'];
  if (Array.isArray(node['enum'])) return node['enum'][0];
  const choice = firstOf(node['anyOf']) ?? firstOf(node['oneOf']) ?? firstOf(node['allOf']);
  if (choice !== undefined) return schemaInstance(choice, depth + 1);
  switch (typeName(node)) {
    case 'object':
      return objectInstance(node, depth);
    case 'array':
      return Array.from({ length: Math.max(1, Number(node['minItems'] ?? 1)) }, () => schemaInstance(node['items'] ?? {}, depth + 1));
    case 'integer':
    case 'number':
      return typeof node['minimum'] === 'number' ? node['minimum'] : 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return typeof node['description'] === 'string' ? node['description'].slice(0, 24) : 'text';
  }
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined;
}

function typeName(node: Json): string {
  const type = Array.isArray(node['type']) ? node['type'][0] : node['type'];
  if (typeof type === 'string') return type.toLowerCase();
  return 'properties' in node ? 'object' : 'string';
}

function objectInstance(node: Json, depth: number): Json {
  const properties = (node['properties'] ?? {}) as Json;
  return Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, schemaInstance(child, depth + 1)]));
}
