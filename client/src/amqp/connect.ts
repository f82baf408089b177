// `connect` of leveret-client/amqp, over any transport of bytes: the client's own, with a gateway beneath it.
// Always: the same classes, options and errors as leveret-client; what differs is in docs/client-amqp.md.
// Refuses: to make up a count. A publish resolves when some queue has taken it, and AMQP does not tell how many: who reads `routed` gets an error.

import { type Connection, connectOver } from '../connection.ts';
import { type Duration, toMs } from '../duration.ts';
import { LeveretError } from '../error.ts';
import type { ConnectOptions, Published, PublishOptions } from '../options.ts';
import { realPorts } from '../ports.ts';
import { Session } from '../session.ts';
import type { Topology } from '../topology.ts';
import type { ByteTransport } from './bytes.ts';
import { amqpTransport } from './gateway.ts';
import { UNCOUNTED } from './inbound.ts';

/** What `connect` of leveret-client/amqp takes: what that of leveret-client does, and what only AMQP has. */
export interface AmqpConnectOptions<T extends Topology = Topology> extends Omit<ConnectOptions<T>, 'transport'> {
  /** Default: the path of an amqp url, else '/'. */
  readonly vhost?: string;
  /** Between two signs of life; the broker may want them oftener. Default: as the broker has it. */
  readonly heartbeat?: Duration;
  /** EXTERNAL: the client's certificate is the login. Default PLAIN. */
  readonly mechanism?: 'PLAIN' | 'EXTERNAL';
  /** In Node, for amqps and wss. */
  readonly tls?: TlsOptions;
  /** Default: TCP, TLS or WebSocket, by the url. */
  readonly transport?: ByteTransport;
}

/** Of Node's `tls.connect`, in PEM. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | (string | Uint8Array)[];
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  readonly passphrase?: string;
  readonly servername?: string;
  /** Default true. */
  readonly rejectUnauthorized?: boolean;
}

/** Some queue took it. */
class Uncounted implements Published {
  get routed(): number {
    throw new LeveretError('UNSUPPORTED', 'UNSUPPORTED - AMQP 0-9-1 does not tell how many queues took a message', {
      hint: 'that publish resolved says that one did at least',
    });
  }
}
const uncounted = new Uncounted();

class AmqpSession extends Session {
  override async publish(exchange: string, key: string, body: unknown, options?: PublishOptions): Promise<Published> {
    const published = await super.publish(exchange, key, body, options);
    return published.routed === UNCOUNTED ? uncounted : published;
  }
}

export async function connectAmqp<T extends Topology>(
  defaultTransport: ByteTransport,
  protocols: RegExp,
  urls: string | readonly string[],
  { vhost, heartbeat = 0, mechanism = 'PLAIN', transport = defaultTransport, ...options }: AmqpConnectOptions<T>,
): Promise<Connection<T>> {
  const { ports = realPorts, maxMessageBytes = 16_777_216 } = options;
  // Seconds on the wire, where 0 is something else.
  const heartbeatS = Math.ceil(toMs(heartbeat) / 1_000);
  for (const url of [urls].flat())
    if (!protocols.test(url)) throw new LeveretError('INVALID', `not a url that this speaks AMQP over: '${url.replace(/\/\/.*@/, '//')}'`);
  const gateway = amqpTransport(transport, { ports, maxMessageBytes, vhost, heartbeatS, mechanism });
  return connectOver(gateway, options, urls, AmqpSession);
}
