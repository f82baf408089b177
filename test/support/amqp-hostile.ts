// A hostile AMQP peer plays its case, and how it was answered; beside it a witness that minds its own business.
// Always: (1) a case is sent from its own stage on a connection of its own; (2) "goes on" means that a request behind it was answered; (3) after a
// closed channel the connection is asked whether it lives. Knows nothing of what the answer should be.

import { type HostileCase, PROBE_CHANNEL } from '../wire/amqp-hostile-cases.ts';
import { type Outcome, type Pieces, PROTOCOL_HEADER, publishFrames, RawAmqp } from './raw-amqp.ts';

// What is long is not dribbled: a turn for each of 70,000 octets proves nothing more.
const DRIBBLED_BYTES_MAX = 1500;

/** A port of TCP, or what makes a connection of another kind. */
export type Where = number | (() => Promise<RawAmqp>);

export async function standAt(where: Where, stage: HostileCase['stage']): Promise<RawAmqp> {
  const peer = typeof where === 'number' ? await RawAmqp.dial(where) : await where();
  if (stage === 'open' || stage === 'channel') {
    await peer.logIn();
    if (stage === 'channel') await peer.openChannel(1);
    return peer;
  }
  if (stage === 'connected') return peer;
  await peer.write(PROTOCOL_HEADER);
  await peer.method('connection.start');
  if (stage === 'start') return peer;
  await peer.startOk();
  const { fields } = await peer.method('connection.tune');
  if (stage === 'opening') await peer.send(0, 'connection.tune-ok', { ...fields, heartbeat: 0 });
  return peer;
}

/** Plays a case. Where the server is to go on, something is asked behind it: it would say nothing by itself. */
export async function play(
  where: Where,
  { stage, octets, answer }: Pick<HostileCase, 'stage' | 'octets'> & { readonly answer: unknown },
  pieces: Pieces,
): Promise<Outcome> {
  const peer = await standAt(where, stage);
  await peer.write(octets, pieces === 'bytes' && octets.length > DRIBBLED_BYTES_MAX ? 'thirds' : pieces);
  if (answer === 'goes on') await peer.send(PROBE_CHANNEL, 'channel.open', {});
  const outcome = await peer.outcome(PROBE_CHANNEL);
  if (outcome.how === 'channel') {
    // the connection lives, and the number can be opened again
    await peer.openChannel(1);
    await peer.close();
  } else if (outcome.how === 'goes on') await peer.close();
  else await peer.closed;
  return outcome;
}

/** A connection whose messages go round, one after the other. */
export class Witness {
  readonly #peer: RawAmqp;
  #round = 0;
  #latest = Promise.resolve();
  /** The longest that a message took, in milliseconds: for people to read. */
  slowestMs = 0;

  private constructor(peer: RawAmqp) {
    this.#peer = peer;
  }

  static async start(port: number): Promise<Witness> {
    const peer = await RawAmqp.open(port);
    await peer.openChannel(1);
    const declared = { passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };
    await peer.call(1, 'queue.declare', { queue: 'witness', ...declared }, 'queue.declare-ok');
    const consumer = {
      queue: 'witness',
      consumerTag: 'w',
      noLocal: false,
      noAck: false,
      exclusive: true,
      nowait: false,
      arguments: new Map(),
    };
    await peer.call(1, 'basic.consume', consumer, 'basic.consume-ok');
    return new Witness(peer);
  }

  /** Publishes a message, gets it and settles it, after those that are under way. Throws for anything else that comes. */
  goesRound(): Promise<void> {
    const round = this.#latest.then(() => this.#goRound());
    this.#latest = round.catch(() => undefined);
    return round;
  }

  async #goRound(): Promise<void> {
    const body = String(++this.#round);
    const startedAt = performance.now();
    await this.#peer.write(publishFrames(1, '', 'witness', Buffer.from(body)));
    const { fields } = await this.#peer.method('basic.deliver', 1);
    const content = [await this.#peer.frame(), await this.#peer.frame()];
    const got = Buffer.from(content[1]?.payload ?? []).toString();
    if (got !== body || fields.redelivered) throw new Error(`the witness got '${got}' instead of '${body}'`);
    await this.#peer.send(1, 'basic.ack', { deliveryTag: fields.deliveryTag, multiple: false });
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
  }

  async end(): Promise<void> {
    await this.#peer.close();
  }
}
