// What a browser downloads of leveret-client: its browser entry, bundled, minified and gzipped.
// Always: measured from the sources, with nothing left out.
// Refuses: a bundle that would ask a browser for a package or for a module of Node.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

export const SIZE_BUDGET_BYTES = 9_000;

export interface ClientSize {
  gzipBytes: number;
  minifiedBytes: number;
  bareImports: string[];
}

export async function clientCore(entry = 'client/src/browser.ts'): Promise<ClientSize> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['ws', 'node:*'],
    logLevel: 'warning',
  });
  const code = result.outputFiles[0]?.contents ?? new Uint8Array(0);
  const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
  const bareImports = imports.map((item) => item.path);
  return { gzipBytes: gzipSync(code, { level: 9 }).byteLength, minifiedBytes: code.byteLength, bareImports };
}
