// leveret-client in browsers: the public names, and `connect` over the global WebSocket. Node gets index.ts, by the package's exports.

import { type Connection, connectOver } from './connection.ts';
import type { ConnectOptions } from './options.ts';
import type { Topology } from './topology.ts';
import { webSocketTransport } from './transport-browser.ts';

export * from './api.ts';
export { webSocketTransport };

/** As `connect` in index.ts. */
export function connect<T extends Topology = Topology>(
  urls: string | readonly string[],
  options: ConnectOptions<T> = {},
): Promise<Connection<T>> {
  return connectOver(options.transport ?? webSocketTransport, options, urls);
}
