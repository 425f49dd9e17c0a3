import type { Environment } from '../config.ts';
import { type Address, type Misuse, Reader } from './reader.ts';

/** The command line of `keyforge proxy`, with its environment. */
interface ProxyCommand {
  /** `wss://HOST:PORT/control`. */
  readonly controlUrl: string;
  /** PEM: one root certificate or more. */
  readonly controlCa: string;
  readonly tokenFile: string;
  readonly listen: Address;
  readonly metricsListen: Address;
  readonly dataDir: string;
  /** 0: no limit. */
  readonly connectionsPerAddress: number;
  /** Origins whose pages may call from a browser. */
  readonly allowedOrigins: readonly string[];
  readonly logLevel: string;
}

/** Flags of `keyforge proxy`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readProxyCommand(args: readonly string[], environment: Environment): ProxyCommand | Misuse {
  const read = new Reader(args, environment, {
    control: { type: 'string' },
    'control-ca': { type: 'string' },
    'token-file': { type: 'string' },
    listen: { type: 'string' },
    'metrics-listen': { type: 'string' },
    data: { type: 'string' },
    'connections-per-address': { type: 'string' },
    'allowed-origins': { type: 'string' },
    'log-level': { type: 'string' },
  });
  const command: ProxyCommand = {
    controlUrl: read.required('control'),
    controlCa: read.required('control-ca'),
    tokenFile: read.text('token-file') ?? '/var/run/secrets/kubernetes.io/serviceaccount/token',
    listen: read.address('listen', '127.0.0.1:8787'),
    metricsListen: read.address('metrics-listen', '0.0.0.0:9464'),
    dataDir: read.text('data') ?? '/var/lib/keyforge',
    connectionsPerAddress: read.count('connections-per-address', 0),
    allowedOrigins: read.origins('allowed-origins'),
    logLevel: read.logLevel('info'),
  };
  read.noWords();
  if (command.controlUrl !== '' && !/^wss:\/\/[^/]+\/control$/.test(command.controlUrl)) {
    read.problem(
      `--control: ${command.controlUrl} is no address of an operator, such as wss://keyforge-operator.keyforge-system.svc:443/control`,
    );
  }
  if (command.controlCa !== '' && !command.controlCa.includes('-----BEGIN CERTIFICATE-----')) {
    read.problem('--control-ca: not a certificate; give the text of a PEM file, the operator’s root');
  }
  return read.result(command);
}
