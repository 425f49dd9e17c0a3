const fields = ['authorization', 'cookie', 'token', 'secret', 'value', 'chainKey', '["x-api-key"]', '["api-key"]', '["x-goog-api-key"]'];

/** Fields that every logger of every process redacts, because they may contain a secret: at the top or up to two levels deep. */
export const redaction: { readonly paths: string[]; readonly censor: string } = {
  paths: fields.flatMap((field) => (field.startsWith('[') ? [field, `*${field}`, `*.*${field}`] : [field, `*.${field}`, `*.*.${field}`])),
  censor: '[redacted]',
};
