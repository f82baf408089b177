// What a browser downloads of leveret-client: its browser entry, bundled, minified and gzipped.
// Always: (1) the core is what the entry imports statically: a page loads all of it before it can connect; (2) `wholeGzipBytes` adds what
// is loaded on demand. Measured from the sources, with nothing left out.
// Refuses: a bundle that would ask a browser for a package or for a module of Node.
import { gzipSync } from 'node:zlib';
import { type BuildOptions, build, type Plugin } from 'esbuild';

export const SIZE_BUDGET_BYTES = 9_000;

export interface ClientSize {
  readonly gzipBytes: number;
  readonly wholeGzipBytes: number;
  readonly bareImports: string[];
}

const onDemand: Plugin = {
  name: 'on-demand',
  setup(bundle) {
    bundle.onResolve({ filter: /^\./ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined));
  },
};

export async function clientSize(entry = 'client/src/browser.ts'): Promise<ClientSize> {
  const core = await bundled(entry, [onDemand]);
  const whole = await bundled(entry, []);
  return { gzipBytes: core.gzipBytes, wholeGzipBytes: whole.gzipBytes, bareImports: whole.imports };
}

async function bundled(entry: string, plugins: Plugin[]): Promise<{ gzipBytes: number; imports: string[] }> {
  const options: BuildOptions & { metafile: true; write: false } = {
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
    plugins,
  };
  const { outputFiles, metafile } = await build(options);
  const code = outputFiles[0]?.contents ?? new Uint8Array(0);
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map((item) => item.path));
  return { gzipBytes: gzipSync(code, { level: 9 }).byteLength, imports };
}
