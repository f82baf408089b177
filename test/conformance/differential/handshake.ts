// Situations: from the protocol header to connection.open-ok, logins that fail, and what tune-ok may say.

import { FrameType, PROTOCOL_HEADER } from '../../../shared/amqp/frame.ts';
import { amqPlain, frameOf, isMethod, type LoginOptions, rawFrame } from '../../support/amqp-client.ts';
import { type Connection, type Play, type Stage, situations, table } from './stage.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** The first bytes of a connection, and all that comes of them. */
function opening(bytes: readonly number[] | Uint8Array): Play {
  return async (s) => {
    const connection = await s.dial();
    connection.client.write(bytes);
    await connection.ended();
  };
}

/** A login that is answered with something, and what then comes. */
function login(options: LoginOptions): Play {
  return async (s) => {
    const connection = await s.connect(options);
    if (connection.at(0).lane.lines().length > 0) await connection.ended();
    else await connection.channel();
  };
}

/** A connection that has got connection.start. */
async function started(s: Stage): Promise<Connection> {
  const connection = await s.dial();
  connection.at(0).lane.hidden.add('connection.start');
  connection.client.write(PROTOCOL_HEADER);
  await connection.at(0).next();
  return connection;
}

/** A connection that has got connection.tune. */
async function tuned(s: Stage): Promise<Connection> {
  const connection = await started(s);
  connection.at(0).lane.hidden.add('connection.tune');
  connection.client.startOk();
  await connection.at(0).next();
  return connection;
}

function tuneOk(channelMax: number, frameMax: number, heartbeat = 0): Play {
  return async (s) => {
    const connection = await tuned(s);
    connection.at(0).send('connection.tune-ok', { channelMax, frameMax, heartbeat });
    connection.at(0).send('connection.open', { virtualHost: '/' });
    const item = await connection.at(0).next();
    if (isMethod(item, 'connection.open-ok')) await connection.channel();
    else await connection.ended();
  };
}

export const handshake = situations({
  'a protocol header of AMQP 1.0': opening([...bytesOf('AMQP'), 0, 1, 0, 0]),
  'a protocol header of a version that never was': opening([...bytesOf('AMQP'), 0, 7, 7, 7]),
  'a protocol header of AMQP 0-8': async (s) => {
    const connection = await s.dial();
    connection.at(0).lane.hidden.add('connection.start');
    connection.client.write([...bytesOf('AMQP'), 1, 1, 8, 0]);
    const item = await connection.at(0).next();
    if (isMethod(item, 'connection.start')) s.note(`version ${item.method.fields.versionMajor}-${item.method.fields.versionMinor}`);
    else await connection.ended();
  },
  'an HTTP request to the AMQP port': opening(bytesOf('GET / HTTP/1.1\r\nHost: broker\r\n\r\n')),
  'eight zeros instead of a protocol header': opening(new Uint8Array(8)),
  'a protocol header in single bytes': async (s) => {
    const connection = await s.dial();
    connection.at(0).lane.hidden.add('connection.start');
    for (const byte of PROTOCOL_HEADER) connection.client.write([byte]);
    s.note(`connection.start: ${isMethod(await connection.at(0).next(), 'connection.start')}`);
  },

  'connection.start: version, mechanisms, locales and capabilities': async (s) => {
    const connection = await s.dial();
    connection.at(0).lane.hidden.add('connection.start');
    connection.client.write(PROTOCOL_HEADER);
    const item = await connection.at(0).next();
    if (!isMethod(item, 'connection.start')) return;
    const { versionMajor, versionMinor, mechanisms, locales, serverProperties } = item.method.fields;
    const mechanismNames = Buffer.from(mechanisms).toString().split(' ').sort();
    s.note(`${versionMajor}-${versionMinor} ${mechanismNames} ${Buffer.from(locales).toString()}`);
    const capabilities = serverProperties.get('capabilities');
    if (!(capabilities instanceof Map)) return s.note('no table of capabilities');
    for (const [name, value] of [...capabilities].sort(([a], [b]) => (a < b ? -1 : 1))) s.note(`${name}: ${value}`);
  },
  'connection.start: which product it is': async (s) => {
    const connection = await s.dial();
    connection.at(0).lane.hidden.add('connection.start');
    connection.client.write(PROTOCOL_HEADER);
    const item = await connection.at(0).next();
    if (!isMethod(item, 'connection.start')) return;
    const { serverProperties } = item.method.fields;
    s.note(`properties: ${[...serverProperties.keys()].sort().join(', ')}`);
    s.note(`product: ${serverProperties.get('product')}`);
    s.note(`version of three numbers: ${/^\d+\.\d+\.\d+/.test(String(serverProperties.get('version')))}`);
  },
  'a login with PLAIN, and what is offered to tune': async (s) => {
    const connection = await started(s);
    connection.client.startOk();
    await connection.at(0).next();
  },
  'a login with AMQPLAIN': login({ mechanism: 'AMQPLAIN' }),
  'a login with PLAIN as another identity': login({ response: bytesOf('admin\0guest\0guest') }),

  'a wrong password from a client that understands a refusal': login({ password: 'wrong' }),
  'a wrong password from a client that announces nothing': login({ password: 'wrong', clientProperties: new Map() }),
  'a wrong password from a client whose capability is false': login({
    password: 'wrong',
    clientProperties: table({ capabilities: table({ authentication_failure_close: false }) }),
  }),
  'a wrong password with AMQPLAIN': login({ mechanism: 'AMQPLAIN', password: 'wrong' }),
  'an unknown user': login({ user: 'nobody' }),
  'an empty password': login({ password: '' }),
  'a PLAIN response without its zeros': login({ response: bytesOf('guest guest') }),
  'an empty PLAIN response': login({ response: new Uint8Array(0) }),
  'an AMQPLAIN response without a password': login({ mechanism: 'AMQPLAIN', response: amqPlain('guest', '').subarray(0, 16) }),
  'an AMQPLAIN response that is no table': login({ mechanism: 'AMQPLAIN', response: bytesOf('guest') }),
  'an unknown mechanism': login({ mechanism: 'KERBEROS' }),
  'an empty mechanism': login({ mechanism: '' }),
  'a mechanism in small letters': login({ mechanism: 'plain' }),

  'a vhost that does not exist': login({ vhost: 'nosuch' }),
  'an empty vhost': login({ vhost: '' }),
  'client properties of all kinds': login({
    clientProperties: table({
      connection_name: 'test',
      nested: table({ list: [1, 'a', null] }),
      capabilities: table({ 'basic.nack': true }),
    }),
  }),
  'capabilities that are no table': login({ clientProperties: table({ capabilities: 'all' }) }),
  'a locale that nobody has': async (s) => {
    const connection = await started(s);
    connection.at(0).send('connection.start-ok', {
      mechanism: 'PLAIN',
      response: bytesOf('\0guest\0guest'),
      locale: 'tlh_QO',
    });
    await connection.at(0).next();
  },

  'tune-ok with what was offered': tuneOk(2047, 131_072),
  'tune-ok with a frame_max above what was offered': tuneOk(2047, 131_073),
  'tune-ok with the smallest frame_max of AMQP': tuneOk(2047, 4096),
  'tune-ok with a frame_max below the smallest of AMQP': tuneOk(2047, 4095),
  'tune-ok with a frame_max of 1': tuneOk(2047, 1),
  'tune-ok with an unlimited frame_max': tuneOk(2047, 0),
  'tune-ok with a channel_max above what was offered': tuneOk(2048, 131_072),
  'tune-ok with an unlimited channel_max': tuneOk(0, 131_072),
  'tune-ok with a channel_max of 1': tuneOk(1, 131_072),
  'tune-ok with the longest heartbeat': tuneOk(2047, 131_072, 65_535),

  'a method before start-ok': async (s) => {
    const connection = await started(s);
    connection.at(0).send('connection.open', { virtualHost: '/' });
    await connection.ended();
  },
  'connection.open without tune-ok': async (s) => {
    const connection = await tuned(s);
    connection.at(0).send('connection.open', { virtualHost: '/' });
    await connection.ended();
  },
  'connection.close instead of start-ok': async (s) => {
    const connection = await started(s);
    connection.at(0).send('connection.close', { replyCode: 200, replyText: 'never mind' });
    await connection.ended();
  },
  'connection.close instead of connection.open': async (s) => {
    const connection = await tuned(s);
    connection.at(0).send('connection.tune-ok', { channelMax: 2047, frameMax: 131_072 });
    connection.at(0).send('connection.close', { replyCode: 200, replyText: 'never mind' });
    await connection.ended();
  },
  'a channel before connection.open': async (s) => {
    const connection = await tuned(s);
    connection.at(0).send('connection.tune-ok', { channelMax: 2047, frameMax: 131_072 });
    connection.at(1).send('channel.open');
    await connection.ended();
  },
  'a frame of another channel before start-ok': async (s) => {
    const connection = await started(s);
    connection.at(1).send('channel.open');
    await connection.ended();
  },
  'a content header before start-ok': async (s) => {
    const connection = await started(s);
    connection.client.write(rawFrame(FrameType.Header, 0, new Uint8Array(14)));
    await connection.ended();
  },
  'a frame above 4096 bytes before tune-ok': async (s) => {
    const connection = await started(s);
    connection.client.startOk({ clientProperties: table({ long: 'x'.repeat(5000) }) });
    await connection.at(0).next();
  },
  'a frame above 131072 bytes before tune-ok': async (s) => {
    const connection = await started(s);
    connection.client.write(rawFrame(FrameType.Method, 0, new Uint8Array(131_073)));
    await connection.ended();
  },
  'start-ok cut short': async (s) => {
    const connection = await started(s);
    const whole = frameOf(0, 'connection.start-ok', { mechanism: 'PLAIN', response: bytesOf('\0guest\0guest'), locale: 'en_US' });
    connection.client.write(rawFrame(FrameType.Method, 0, whole.subarray(7, -11)));
    await connection.ended();
  },
  'a heartbeat during the handshake': async (s) => {
    const connection = await started(s);
    connection.client.write(rawFrame(FrameType.Heartbeat, 0, []));
    connection.client.startOk();
    await connection.at(0).next();
  },
});
