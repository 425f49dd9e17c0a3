const fields = ['authorization', 'cookie', 'token', 'secret', 'value', 'chainKey', '["x-api-key"]', '["api-key"]', '["x-goog-api-key"]'];

/** What no log shows, for every logger of every process: fields that may carry a secret, at the top or up to two levels deep. */
export const redaction: { readonly paths: string[]; readonly censor: string } = {
  paths: fields.flatMap((field) => (field.startsWith('[') ? [field, `*${field}`, `*.*${field}`] : [field, `*.${field}`, `*.*.${field}`])),
  censor: '[redacted]',
};
