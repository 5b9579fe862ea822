// The package's main file loads fetch, web sockets and caches, which is half of Gatehouse's start-up time.
declare module 'undici/lib/core/connect.js' {
  import { buildConnector } from 'undici';
  // biome-ignore lint/style/noDefaultExport: it is how the package exports it
  export default buildConnector;
}
