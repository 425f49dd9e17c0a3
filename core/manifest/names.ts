import { object, type Place, type Read, text } from './reader.ts';

// The messages here never repeat the value: a credential that was pasted in place of a name must not reach a log.
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const dnsRule = 'lower-case letters, digits and "-", beginning and ending with a letter or digit';

/** A DNS-1123 label: the name of a namespace. */
export function dnsLabel(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined || label.test(given)) return given;
  return at.report(`${at.label} is not a DNS-1123 label: at most 63 characters, ${dnsRule}`);
}

/** A DNS-1123 subdomain: the name of an object. */
export function dnsName(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined) return undefined;
  if (given.length <= 253 && given.split('.').every((part) => label.test(part))) return given;
  return at.report(`${at.label} is not a DNS-1123 name: at most 253 characters, parts joined by ".", each of ${dnsRule}`);
}

/** True if Kubernetes accepts it as the name of an item in a Secret. */
export function isSecretItem(name: string): boolean {
  return /^[-._a-zA-Z0-9]{1,253}$/.test(name) && name !== '.' && name !== '..';
}

/** The name of an item in a Secret. */
export function secretItem(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined || isSecretItem(given)) return given;
  return at.report(`${at.label} is not the name of an item in a Secret: letters, digits, "-", "_" and "."`);
}

const referenceFields = object({ name: dnsName }, { namespace: dnsLabel });

/** Reads `{name, namespace}` and joins both with `join`; default: the object's own namespace. */
export function reference<Name extends string>(ownNamespace: string, join: (namespace: string, name: string) => Name): Read<Name> {
  return (value, at) => {
    const fields = referenceFields(value, at);
    return fields && join(fields.namespace ?? ownNamespace, fields.name);
  };
}

const printable = /^[!-~]{1,256}$/;

/** The name of a model: printable ASCII without spaces. */
export function modelName(value: unknown, at: Place): string | undefined {
  const given = modelPattern(value, at);
  return given?.includes('*') ? at.report(`${at.label} must be the name of one model; "*" is for models.allow and models.deny`) : given;
}

/** The name of a model, in which `*` matches any run of characters. */
export function modelPattern(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined || printable.test(given)) return given;
  return at.report(`${at.label} must be the name of a model: 1 to 256 printable characters without spaces`);
}

/** A route template such as `/v1/chat/completions`. */
export function routeTemplate(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined || /^\/[^\s?#*]{0,255}$/.test(given)) return given;
  return at.report(`${at.label} must be a route such as "/v1/chat/completions", without host, query or "*"`);
}
