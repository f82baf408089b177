// The phases of an AMQP connection: every edge is walked by a frame or an end, and every frame that has no edge from a phase is refused there.
import { expect, test } from 'vitest';
import { edges, Phase } from '../../../server/amqp/phase.ts';
import { PROTOCOL_HEADER } from '../../../shared/amqp/frame.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { AmqpPeer } from '../../support/amqp-peer.ts';
import { Engine } from '../../support/engine.ts';

const steps = {
  header: (peer: AmqpPeer) => peer.bytes(Uint8Array.from(PROTOCOL_HEADER)),
  'start-ok': (peer: AmqpPeer) =>
    peer.send(0, 'connection.start-ok', {
      clientProperties: new Map(),
      mechanism: 'PLAIN',
      response: encodeUtf8('\0guest\0guest'),
      locale: 'en_US',
    }),
  'tune-ok': (peer: AmqpPeer) => peer.send(0, 'connection.tune-ok', { channelMax: 10, frameMax: 4096, heartbeat: 0 }),
  open: (peer: AmqpPeer) => peer.send(0, 'connection.open', { virtualHost: '/' }),
  channel: (peer: AmqpPeer) => peer.send(1, 'channel.open', {}),
} as const;
type Step = keyof typeof steps;
const ORDER: readonly Step[] = ['header', 'start-ok', 'tune-ok', 'open', 'channel'];

test.each(ORDER.slice(1).flatMap((step, done) => ORDER.slice(1).map((other) => [step, other, done + 1] as const)))(
  'where %s is due, %s is taken only if it is that',
  (due, sent, done) => {
    const peer = new AmqpPeer(new Engine());
    for (const step of ORDER.slice(0, done)) steps[step](peer);
    expect(peer.names().some((name) => name === '0 connection.close')).toBe(false);
    steps[sent](peer);
    const isRefused = peer.names().includes('0 connection.close');
    expect(isRefused).toBe(sent !== due);
  },
);

test('nothing follows Closed, and everything else may end there', () => {
  expect(edges[Phase.Closed]).toEqual([]);
  for (const [from, to] of Object.entries(edges)) if (Number(from) !== Phase.Closed) expect(to).toContain(Phase.Closed);
});

test('a peer that hangs up in any phase leaves nothing behind', () => {
  for (let done = 0; done <= ORDER.length; done++) {
    const engine = new Engine();
    const peer = new AmqpPeer(engine);
    for (const step of ORDER.slice(0, done)) steps[step](peer);
    peer.connection.onClosed();
    expect(engine.time.timerCount).toBe(0);
    expect(engine.broker.connectionCount).toBe(0);
  }
});
