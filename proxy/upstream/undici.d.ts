/** Only the Pool: the package's entry also loads fetch, WebSocket, caches and mocks, which cost a sidecar 80 ms and 8 MB. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export = Pool;
}
