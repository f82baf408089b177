// leveret-client/amqp in browsers: the public names, and `connect` over the global WebSocket. Node gets index.ts, by the package's exports.

import type { Connection } from '../connection.ts';
import type { Topology } from '../topology.ts';
import { type AmqpConnectOptions, connectAmqp } from './connect.ts';
import { webSocketBytes } from './transport-browser.ts';

export * from '../api.ts';

/** As `connect` in index.ts, but that a browser has no TCP. */
export function connect<T extends Topology = Topology>(
  urls: string | readonly string[],
  options: AmqpConnectOptions<T> = {},
): Promise<Connection<T>> {
  return connectAmqp(webSocketBytes, /^wss?:/, urls, options);
}
