// The package's main file loads fetch, web sockets and caches, which is half of Gatehouse's start-up time; the pool alone does not.
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  // biome-ignore lint/style/noDefaultExport: it is how the package exports it
  export default Pool;
}
