/** What a test asks an agent to do. */
export interface Ask {
  readonly sdk?: 'openai' | 'anthropic';
  readonly content: string;
  /** Default: 64. */
  readonly maxTokens?: number;
  readonly stream?: boolean;
  /** Calls one after the other; default: 1. */
  readonly times?: number;
  /** Callers at the same time; default: 1. */
  readonly parallel?: number;
  /** Of the SDK; default: its own. */
  readonly retries?: number;
  /** Default: that of the environment. */
  readonly token?: string;
}

export type Outcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly status: number; readonly code: string; readonly message: string };

/** The first call that was refused, and when its answer came. */
export type Refusal = Extract<Outcome, { ok: false }> & { readonly atMs: number };

/** An agent's Pod that serves; drives it from the test. What takes over two minutes rejects. */
export interface Agent {
  readonly pod: string;
  readonly ip: string;
  call(ask: Ask): Promise<readonly Outcome[]>;
  /** Calls all the time until `stop`. */
  load(ask: Ask): Promise<{ stop(): Promise<readonly Outcome[]> }>;
  /** Resolves once a call was served; `refused` resolves with the first that is not. */
  poll(ask: Ask): Promise<{ readonly refused: Promise<Refusal> }>;
}

export const agentImage = 'keyforge.test/agent:1';

/** What a Deployment or a Job makes Pods of. */
export interface AgentTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: object;
}

/** The Pod of an agent, as its author writes it: no word of KeyForge but the label and the key's name. */
export function agentTemplate(key: string, options: { readonly args?: readonly string[]; readonly spec?: object } = {}): AgentTemplate {
  const serves = options.args === undefined;
  return {
    metadata: {
      labels: { app: `agent-${key}`, 'keyforge.dev/inject': 'true' },
      annotations: { 'keyforge.dev/virtual-key': key },
    },
    spec: {
      terminationGracePeriodSeconds: 20,
      ...(!serves && { restartPolicy: 'Never' }),
      containers: [
        {
          name: 'agent',
          image: agentImage,
          imagePullPolicy: 'Never',
          ...(serves
            ? { readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1, failureThreshold: 30 } }
            : { args: options.args }),
          securityContext: restricted,
        },
      ],
      ...options.spec,
    },
  };
}

/** As the Pod security level `restricted` demands. */
export const restricted: object = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** The agent in a Pod that is ready. */
export function agentAt(pod: string, ip: string): Agent {
  const post = (path: string, body?: Ask): Promise<Response> =>
    fetch(`http://${ip}:8080${path}`, {
      method: 'POST',
      signal: AbortSignal.timeout(120_000),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return {
    pod,
    ip,
    call: async (ask) => (await post('/call', ask)).json() as Promise<readonly Outcome[]>,
    async load(ask) {
      await post('/load', ask);
      return { stop: async () => (await post('/stop')).json() as Promise<readonly Outcome[]> };
    },
    async poll(ask) {
      const response = await post('/poll', ask);
      return { refused: response.json() as Promise<Refusal> };
    },
  };
}
