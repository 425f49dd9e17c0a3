/** Only the Pool and the Client: the package's entry also loads fetch, WebSocket, caches and mocks, which cost a sidecar 80 ms and 8 MB. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export = Pool;
}

declare module 'undici/lib/dispatcher/client.js' {
  import { Client } from 'undici';
  export = Client;
}
