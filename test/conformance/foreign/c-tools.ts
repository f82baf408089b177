// The C tools of rabbitmq-c (Debian's amqp-tools): amqp-publish, -consume, -get, -declare-queue, -delete-queue, each run as its user runs it.
// They say little of what AMQP says: no confirms, no arguments, no properties on the way out. What they cannot express is done in the nearest
// real form, which the note names; amqplib declares and looks on where a tool cannot.
// amqp-consume has no nack: when its command fails, the message stays unacked, and goes back when the tool hangs up.

import { spawn } from 'node:child_process';
import amqp, { type ConfirmChannel, type GetMessage } from 'amqplib';
import { fresh, holds, largeBody, same, sha256, until, within } from './checks.ts';
import { Beyond, type Scripts, type Target } from './scenarios.ts';

interface Ended {
  readonly code: number | null;
  readonly out: Buffer<ArrayBuffer>;
  readonly err: string;
}

type Tool = 'publish' | 'consume' | 'get' | 'declare-queue' | 'delete-queue';

/** Runs a tool to its end. */
function run(target: Target, tool: Tool, words: readonly string[], input: string | Uint8Array = ''): Promise<Ended> {
  const child = spawn(`amqp-${tool}`, ['-u', target.amqpUrl, ...words]);
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {}); // a tool that fails does not read to the end
  child.stdin.end(input);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out: Buffer.concat(out), err: Buffer.concat(err).toString() }));
  });
  return within(target.patienceMs, `the end of amqp-${tool}`, ended).finally(() => child.kill());
}

/** What a tool that succeeds prints. */
async function ok(target: Target, tool: Tool, words: readonly string[], input: string | Uint8Array = ''): Promise<string> {
  const { code, out, err } = await run(target, tool, words, input);
  same(`amqp-${tool}`, { code, err }, { code: 0, err: '' });
  return out.toString().trim();
}

/** The same, awaited later: or not at all, when the script has failed before. */
function begun(target: Target, tool: Tool, words: readonly string[]): Promise<Ended> {
  const ended = run(target, tool, words);
  ended.catch(() => {});
  return ended;
}

const said = ({ code, out, err }: Ended): unknown => ({ code, out: out.toString(), err });

async function fails(target: Target, tool: Tool, words: readonly string[], text: RegExp): Promise<void> {
  const { code, err } = await run(target, tool, words);
  same(`the exit code of amqp-${tool}`, code, 1);
  holds(`amqp-${tool} says ${text}: ${err}`, text.test(err));
}

/** amqp-get ends with 2 when the queue is empty. */
async function isEmpty(target: Target, queue: string): Promise<void> {
  const { code, out } = await run(target, 'get', ['-q', queue]);
  same(`amqp-get from an empty queue`, [code, out.length], [2, 0]);
}

async function declared(target: Target, word: string): Promise<string> {
  const queue = fresh(word);
  same('declared', await ok(target, 'declare-queue', ['-q', queue, '-d']), queue);
  return queue;
}

/** What amqplib sees, or does, where a tool cannot. */
async function onlooker<Result>(target: Target, look: (channel: ConfirmChannel) => Promise<Result>): Promise<Result> {
  const connection = await amqp.connect(target.amqpUrl);
  connection.on('error', () => {});
  try {
    return await look(await connection.createConfirmChannel());
  } finally {
    await connection.close().catch(() => {});
  }
}

/** Looks at the first message and gives it back. */
const peek = (target: Target, queue: string): Promise<GetMessage> =>
  onlooker(target, async (channel) => {
    const message = await channel.get(queue);
    if (message === false) throw new Error(`nothing is in ${queue}`);
    channel.nack(message);
    return message;
  });

async function confirms(target: Target): Promise<string> {
  const queue = await declared(target, 'confirms');
  await ok(target, 'publish', ['-r', queue, '-p', '-b', 'one']);
  await ok(target, 'publish', ['-r', queue, '-p', '-l'], 'two\nthree\n');
  same('delivery mode', (await peek(target, queue)).properties.deliveryMode, 2);
  same('bodies', [await ok(target, 'get', ['-q', queue]), await ok(target, 'get', ['-q', queue])], ['one', 'two']);
  same('messages that a delete takes', await ok(target, 'delete-queue', ['-q', queue]), '1');
  return 'has no confirms: -p, read back';
}

async function ackAndNack(target: Target): Promise<string> {
  const queue = await declared(target, 'acks');
  await ok(target, 'publish', ['-r', queue, '-b', 'one']);
  const consume = (command: string): Promise<string> =>
    ok(target, 'consume', ['-q', queue, '-p', '1', '-c', '1', '--', 'sh', '-c', command]);
  same('first time', await consume('cat; exit 1'), 'one');
  same('redelivered', (await peek(target, queue)).fields.redelivered, true);
  same('second time', await consume('cat'), 'one');
  await isEmpty(target, queue);
  await ok(target, 'delete-queue', ['-q', queue]);
  return 'has no nack: a command that fails leaves the message unacked, it comes again';
}

async function topology(target: Target): Promise<string> {
  const named = await ok(target, 'declare-queue', ['-q', '']);
  holds('the server names the queue', named.startsWith('amq.gen-'));
  await ok(target, 'publish', ['-r', named, '-b', 'kept']);
  await fails(target, 'delete-queue', ['-q', named, '-e'], /406, message: PRECONDITION_FAILED - queue '.*' in vhost '\/' not empty/);
  same('messages that a delete takes', await ok(target, 'delete-queue', ['-q', named]), '1');
  await fails(target, 'get', ['-q', named], /404, message: NOT_FOUND - no queue '.*' in vhost '\/'/);
  await fails(target, 'publish', ['-e', named, '-r', 'x', '-b', 'x'], /404, message: NOT_FOUND - no exchange '.*' in vhost '\/'/);

  // amqp-consume declares a queue of its own and binds it: publish until it is there
  const key = fresh('key');
  const consumer = begun(target, 'consume', ['-q', key, '-x', '-e', 'amq.topic', '-r', `${key}.*`, '-c', '1', 'cat']);
  await onlooker(target, async (channel) => {
    let isRouted = false;
    channel.on('return', () => (isRouted = false));
    await until(target.patienceMs, 'the binding', async () => {
      isRouted = true;
      channel.publish('amq.topic', `${key}.new.late`, Buffer.from('not routed'));
      channel.publish('amq.topic', `${key}.new`, Buffer.from('routed'), { mandatory: true });
      await channel.waitForConfirms();
      return isRouted;
    });
  });
  same('what the binding lets through', said(await consumer), { code: 0, out: 'routed', err: '' });
  return 'server-named, bound by amqp-consume, delete if-empty; no e2e, no passive';
}

async function rpc(target: Target): Promise<string> {
  const [requests, replies] = [await declared(target, 'requests'), await declared(target, 'replies')];
  await ok(target, 'publish', ['-r', requests, '-t', replies, '-b', 'hello']);
  same('reply-to', (await peek(target, requests)).properties.replyTo, replies);
  const answer = `amqp-publish -u ${target.amqpUrl} -r ${replies} -b "$(cat), world"`;
  await ok(target, 'consume', ['-q', requests, '-c', '1', '--', 'sh', '-c', answer]);
  same('reply', await ok(target, 'consume', ['-q', replies, '-c', '1', 'cat']), 'hello, world');
  for (const queue of [requests, replies]) await ok(target, 'delete-queue', ['-q', queue]);
  return 'reply queue; amqp-consume does not hand reply-to on';
}

async function ttlAndDlx(target: Target): Promise<string> {
  const dead = await declared(target, 'dead');
  const queue = fresh('ttl');
  await onlooker(target, (channel) => channel.assertQueue(queue, { messageTtl: 20, deadLetterExchange: '', deadLetterRoutingKey: dead }));
  await ok(target, 'publish', ['-r', queue, '-b', 'short-lived']);
  // amqp-consume waits for it; its command fails, so that it stays for a look at its history
  same('first time', await ok(target, 'consume', ['-q', dead, '-c', '1', '--', 'sh', '-c', 'cat; exit 1']), 'short-lived');
  const death = (await peek(target, dead)).properties.headers?.['x-death']?.[0];
  same('x-death', [death?.reason, death?.queue, death?.count], ['expired', queue, 1]);
  same('second time', await ok(target, 'get', ['-q', dead]), 'short-lived');
  for (const name of [dead, queue]) await ok(target, 'delete-queue', ['-q', name]);
  return 'has no arguments and shows no headers: amqplib declares, and sees x-death';
}

async function large(target: Target): Promise<string> {
  const body = largeBody();
  const queue = await declared(target, 'large');
  await ok(target, 'publish', ['-r', queue], body);
  const { code, out } = await run(target, 'get', ['-q', queue]);
  same('exit code and sha256', [code, await sha256(Uint8Array.from(out))], [0, await sha256(body)]);
  await ok(target, 'delete-queue', ['-q', queue]);
  return 'sha256, stdin to stdout';
}

async function surviving(target: Target, end: () => Promise<void>): Promise<string> {
  const [kept, flow] = [await declared(target, 'kept'), await declared(target, 'flow')];
  await ok(target, 'publish', ['-r', kept, '-p', '-b', 'kept']);
  const consumer = begun(target, 'consume', ['-q', flow, 'cat']);
  await onlooker(target, (channel) =>
    until(target.patienceMs, 'amqp-consume', async () => (await channel.checkQueue(flow)).consumerCount === 1),
  );
  await end();
  const { code, err } = await consumer;
  same('the exit code of amqp-consume', code, 1);
  holds(`amqp-consume says that its connection ended: ${err}`, /connection|socket/i.test(err));
  await ok(target, 'publish', ['-r', flow, '-p', '-b', 'after']);
  same('after', await ok(target, 'consume', ['-q', flow, '-c', '1', 'cat']), 'after');
  same('kept', await ok(target, 'get', ['-q', kept]), 'kept');
  for (const queue of [kept, flow]) await ok(target, 'delete-queue', ['-q', queue]);
  return 'connects again';
}

async function headers(target: Target): Promise<string> {
  const queue = await declared(target, 'headers');
  await ok(target, 'publish', ['-r', queue, '-H', 'text: hébé', '-H', 'other: 1', '-C', 'text/x', '-E', 'y', '-b', 'body']);
  const { properties } = await peek(target, queue);
  same('headers', properties.headers, { text: 'hébé', other: '1' });
  same('properties', [properties.contentType, properties.contentEncoding], ['text/x', 'y']);
  await ok(target, 'delete-queue', ['-q', queue]);
  return 'strings; seen by amqplib';
}

async function exclusive(target: Target): Promise<string> {
  const queue = fresh('exclusive');
  const consumer = begun(target, 'consume', ['-q', queue, '-x', '-c', '1', 'cat']);
  // Missing at first, then another's: either is an error, so look until it is the second.
  await until(target.patienceMs, 'RESOURCE_LOCKED', async () => {
    const { err } = await run(target, 'get', ['-q', queue]);
    holds(`another connection may not see it: ${err}`, /NOT_FOUND|RESOURCE_LOCKED/.test(err));
    return err.includes('RESOURCE_LOCKED');
  });
  await ok(target, 'publish', ['-r', queue, '-b', 'mine']);
  same('its own', said(await consumer), { code: 0, out: 'mine', err: '' });
  await fails(target, 'get', ['-q', queue], /NOT_FOUND/);
  return '405, then 404';
}

async function get(target: Target): Promise<string> {
  const queue = await declared(target, 'get');
  await isEmpty(target, queue);
  await ok(target, 'publish', ['-r', queue, '-b', 'a']);
  same('body', await ok(target, 'get', ['-q', queue]), 'a');
  await ok(target, 'delete-queue', ['-q', queue]);
  return '';
}

const beyond = (why: string) => async (): Promise<string> => {
  throw new Beyond(why);
};

export const C_TOOLS: Scripts = {
  confirms,
  'ack and nack': ackAndNack,
  topology,
  rpc,
  'ttl and dlx': ttlAndDlx,
  '10 MB': large,
  restart: (target) => surviving(target, () => target.restart()),
  killed: (target) => surviving(target, () => target.kill()),
  headers,
  priority: beyond('no option for a priority'),
  returned: beyond('no option for mandatory'),
  exclusive,
  cancelled: beyond('does not announce consumer_cancel_notify'),
  get,
  blocked: beyond('does not announce connection.blocked'),
};
