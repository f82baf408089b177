// leveret-client/amqp in Node: the public names of leveret-client, and `connect` over AMQP 0-9-1. Browsers get browser.ts, by the package's exports.

import type { Connection } from '../connection.ts';
import type { Topology } from '../topology.ts';
import { type AmqpConnectOptions, connectAmqp } from './connect.ts';
import { nodeBytes } from './transport-node.ts';

export * from '../api.ts';
export type { ByteHandlers, ByteLink, ByteTransport } from './bytes.ts';
export type { AmqpConnectOptions, TlsOptions } from './connect.ts';

/**
 * As `connect` of leveret-client, over AMQP 0-9-1: to Leveret, RabbitMQ, or any broker that speaks it. The url says how: `amqp` is TCP, `amqps` is TLS, `ws` and
 * `wss` are WebSocket with the subprotocol `amqp`. Its path is the vhost.
 * ```ts
 * const mq = await connect('amqp://guest:guest@localhost:5672', { name: 'billing-1' });
 * await mq.drain();
 * ```
 */
export function connect<T extends Topology = Topology>(
  urls: string | readonly string[],
  options: AmqpConnectOptions<T> = {},
): Promise<Connection<T>> {
  return connectAmqp(nodeBytes(options.tls), /^(amqp|ws)s?:/, urls, options);
}
