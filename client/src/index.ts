// leveret-client in Node: the public names, and `connect` over `ws`. Browsers get browser.ts, by the package's exports.

import { type Connection, connectOver } from './connection.ts';
import type { ConnectOptions } from './options.ts';
import type { Topology } from './topology.ts';
import { webSocketTransport } from './transport-node.ts';

export * from './api.ts';
export { webSocketTransport };

/**
 * Connects, declares the topology, and resolves. While no broker can be reached it goes on trying, urls in turn, until `signal` aborts; it rejects when a broker
 * refuses: a failed login, a topology that differs.
 * ```ts
 * const mq = await connect('ws://guest:guest@localhost:15672/ws', { name: 'billing-1' });
 * await mq.drain();
 * ```
 */
export function connect<T extends Topology = Topology>(
  urls: string | readonly string[],
  options: ConnectOptions<T> = {},
): Promise<Connection<T>> {
  return connectOver(options.transport ?? webSocketTransport, options, urls);
}
