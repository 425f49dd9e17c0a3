/** The real credentials that the environment offers, by pool. */
export function readProviderKeys(): Readonly<Record<'openai' | 'anthropic' | 'gemini', string | undefined>> {
  return {
    openai: nonEmpty(process.env['OPENAI_API_KEY']),
    anthropic: nonEmpty(process.env['ANTHROPIC_API_KEY']),
    gemini: nonEmpty(process.env['GEMINI_API_KEY']),
  };
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
