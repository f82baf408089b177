// Situations: what an open connection answers on channel 0, how it ends, and heartbeats.

import { FrameType } from '../../../shared/amqp/frame.ts';
import { frameOf, rawFrame } from '../../support/amqp-client.ts';
import { type Play, situations } from './stage.ts';

const done = { replyCode: 200, replyText: 'done' };

/** A method on channel 0 that ends the connection. */
function refused(frame: Uint8Array): Play {
  return async (s) => {
    const connection = await s.connect();
    await connection.channel();
    connection.client.write(frame);
    await connection.ended();
  };
}

export const connections = situations({
  'the client closes the connection': async (s) => {
    const connection = await s.connect();
    await connection.channel();
    await connection.close();
  },
  'what follows connection.close is ignored': async (s) => {
    const connection = await s.connect();
    connection.client.write(frameOf(0, 'connection.close', done), frameOf(1, 'channel.open'), frameOf(7, 'basic.get', { queue: 'nosuch' }));
    await connection.at(0).next();
    connection.client.destroy();
    await connection.ended();
  },
  'what the client asked before connection.close is answered': async (s) => {
    const ch = await s.channel();
    for (const queue of ['a', 'b', 'c']) ch.send('queue.declare', { queue: s.name(queue), exclusive: true });
    await ch.connection.close();
  },
  'the server closes, and what comes before close-ok is ignored': async (s) => {
    const connection = await s.connect();
    connection.client.answersCloses = false;
    const ch = await connection.channel();
    ch.send('basic.qos', { prefetchSize: 1 });
    await connection.at(0).next();
    ch.send('queue.declare', { queue: s.name('q') });
    connection.at(2).send('channel.open');
    connection.client.write(frameOf(0, 'connection.close-ok'));
    await connection.ended();
    await s.probe('queue.declare', { queue: s.name('q'), passive: true });
  },
  'both sides close at once': async (s) => {
    const connection = await s.connect();
    connection.client.answersCloses = false;
    const ch = await connection.channel();
    ch.send('basic.qos', { prefetchSize: 1 });
    await connection.at(0).next();
    connection.client.write(frameOf(0, 'connection.close', done), frameOf(0, 'connection.close-ok'));
    await connection.ended();
  },
  'connection.open a second time': refused(frameOf(0, 'connection.open', { virtualHost: '/' })),
  'connection.start-ok after the handshake': refused(frameOf(0, 'connection.start-ok', { mechanism: 'PLAIN' })),
  'connection.tune-ok after the handshake': refused(frameOf(0, 'connection.tune-ok', { frameMax: 131_072 })),
  'connection.close-ok that nobody asked for': refused(frameOf(0, 'connection.close-ok')),
  'connection.secure-ok that nobody asked for': refused(frameOf(0, 'connection.secure-ok')),
  'connection.blocked from a client': refused(frameOf(0, 'connection.blocked', { reason: 'tired' })),
  'connection.tune from a client': refused(frameOf(0, 'connection.tune')),
  'channel.open on channel 0': refused(frameOf(0, 'channel.open')),
  'queue.declare on channel 0': refused(frameOf(0, 'queue.declare', { queue: 'q' })),
  'basic.publish on channel 0': refused(frameOf(0, 'basic.publish')),
  'connection.close on channel 1': refused(frameOf(1, 'connection.close', done)),
  'connection.open on channel 1': refused(frameOf(1, 'connection.open')),
  'connection.update-secret on channel 1': refused(frameOf(1, 'connection.update-secret')),
  'connection.update-secret': async (s) => {
    const connection = await s.connect();
    connection.at(0).send('connection.update-secret', { newSecret: Buffer.from('guest'), reason: 'rotation' });
    await connection.at(0).next();
    await connection.channel();
  },
  'connection.update-secret with a wrong password': async (s) => {
    const connection = await s.connect();
    connection.at(0).send('connection.update-secret', { newSecret: Buffer.from('wrong'), reason: 'rotation' });
    await connection.at(0).next();
    await connection.channel();
  },

  'a heartbeat comes when the client asked for them': async (s) => {
    const connection = await s.connect({ heartbeat: 1 });
    await connection.at(0).next();
  },
  'a client that is silent for too long is dropped': async (s) => {
    const connection = await s.connect({ heartbeat: 1 });
    await connection.ended();
  },
  'a client whose heartbeats come stays': async (s) => {
    const connection = await s.connect({ heartbeat: 1 });
    // Twice as long as one that is silent lives.
    for (let i = 0; i < 8; i++) {
      await connection.at(0).next();
      connection.client.write(rawFrame(FrameType.Heartbeat, 0, []));
    }
    await connection.channel();
  },
  'a heartbeat from a client that asked for none': async (s) => {
    const ch = await s.channel();
    ch.connection.client.write(rawFrame(FrameType.Heartbeat, 0, []));
    await ch.fence();
  },

  'exclusive queues are gone when close-ok comes': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), {}, { exclusive: true });
    const other = await s.connect();
    await ch.connection.close();
    await (await other.channel()).declare(s.name('q'), {}, { exclusive: true });
  },
  'a torn connection gives back what was unacked': async (s) => {
    const keeper = await s.channel();
    await keeper.declare(s.name('q'));
    keeper.put(s.name('q'), '1', '2', '3');
    const ch = await s.channel();
    await ch.consume(s.name('q'));
    const [, second] = await ch.take(3);
    s.note(`delivered ${second?.kind}`);
    await keeper.consume(s.name('q'), { noAck: true });
    ch.connection.client.destroy();
    await keeper.take(3);
  },
  'a torn connection takes its exclusive queues and consumers with it': async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('mine'), {}, { exclusive: true });
    await ch.declare(s.name('passing'), {}, { autoDelete: true });
    await ch.consume(s.name('passing'));
    ch.connection.client.destroy();
    await s.gone(s.name('mine'));
    await s.gone(s.name('passing'));
  },
});
