// The example page (client/example), bundled and served: for `npm run demo -- --page` and for its test in a real browser.
// Always: (1) the bundle is one classic script, so that the page also opens from a file; (2) only the page's own three files are served, on
// loopback, with a content security policy that allows those and a WebSocket.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const TYPES: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'dist/example.js': 'text/javascript; charset=utf-8',
};
// The icon is an empty data: URL.
const POLICY = "default-src 'self'; connect-src ws: wss:; img-src data:; base-uri 'none'; frame-ancestors 'none'";

export interface Page {
  readonly url: string;
  close(): Promise<void>;
}

/** Bundles the page in `folder` into its dist/example.js. */
export async function bundlePage(folder: URL): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL('example.ts', folder))],
    outfile: fileURLToPath(new URL('dist/example.js', folder)),
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
}

/** Bundles and serves the page on a port of loopback; any that is free, if that one is taken or 0. */
export async function servePage(folder: URL, port: number): Promise<Page> {
  await bundlePage(folder);
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? '/', 'http://page').pathname.slice(1) || 'index.html';
    const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
    if (type === undefined) {
      response.writeHead(404).end();
      return;
    }
    readFile(new URL(name, folder)).then(
      (bytes) =>
        response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY, 'cache-control': 'no-store' }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await listen(server, port).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    return listen(server, 0);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the page has no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}
