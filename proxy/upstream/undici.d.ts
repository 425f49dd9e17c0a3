/** The Pool alone: the package's entry also loads fetch, WebSocket, caches and mocks, 80 ms and 8 MB that a sidecar never uses. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export = Pool;
}
