// Policies against Debian's rabbitmq-server: what is refused and in which words, which policy holds, and what it does to queues that hold messages.

import { expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { AmqpError } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { AmqpClient } from '../support/amqp-client.ts';
import { Engine } from '../support/engine.ts';
import { queueOf } from '../support/engine-queues.ts';

interface Case {
  readonly kind?: 'policy' | 'operator-policy';
  readonly name?: string;
  readonly pattern?: string;
  readonly applyTo?: string;
  readonly priority?: number;
  readonly definition: JsonObject;
}

const judged: readonly Case[] = [
  { definition: {} },
  { definition: { unknown: 1, other: [1, 'x'] } },
  { definition: { 'max-priority': 5 } },
  { definition: { 'single-active-consumer': true } },
  ...['max-length', 'max-length-bytes', 'message-ttl', 'expires', 'delivery-limit'].flatMap((key): Case[] => [
    ...[0, 7, 1.5, 'x', true].map((value) => ({ definition: { [key]: value } })),
    { kind: 'operator-policy', definition: { [key]: 7 } },
  ]),
  { definition: { 'max-length': -1, expires: 0 } },
  ...['dead-letter-exchange', 'dead-letter-routing-key', 'alternate-exchange', 'overflow'].flatMap((key): Case[] => [
    { definition: { [key]: 5 } },
    { definition: { [key]: 'reject-publish' } },
    { kind: 'operator-policy', definition: { [key]: 'drop-head' } },
  ]),
  { definition: { overflow: 'nope' } },
  { definition: { overflow: 'reject-publish-dlx' } },
  { definition: { 'queue-mode': 'lazy' } },
  { definition: { 'ha-mode': 'all' } },
  { definition: { expires: 5 }, priority: -3 },
];

const held: readonly Case[] = [
  { name: 'low', pattern: '^q', priority: -1, definition: { 'max-length': 2 } },
  { name: 'high', pattern: 'full$', priority: 4, definition: { 'max-length': 3, 'message-ttl': 600_000 } },
  { name: 'rejects', pattern: 'rejects', priority: 4, definition: { 'max-length': 1, overflow: 'drop-head' } },
  { name: 'exchanges', pattern: '.*', applyTo: 'exchanges', priority: 9, definition: { 'alternate-exchange': 'amq.fanout' } },
  { kind: 'operator-policy', name: 'cap', pattern: 'argument', definition: { 'max-length': 4, expires: 9_000_000 } },
  { name: 'argued', pattern: 'argument', priority: 8, definition: { 'max-length': 6 } },
];
const queues = new Map<string, [string, string | number][]>([
  ['q.other', []],
  ['q.full', []],
  // An argument: when one policy brings both limit and reject-publish, RabbitMQ drops what is above the limit first, and Leveret nothing.
  ['q.rejects', [['x-overflow', 'reject-publish']]],
  ['q.argument', [['x-max-length', 5]]],
  ['alone', []],
]);
const MESSAGES = 8;

/** A literal of Erlang's. */
const binary = (text: string): string => `<<${JSON.stringify(text)}>>`;

/** What an expression says, as JSON: in base64, which no printer wraps beyond repair. */
function evaluate(broker: RabbitMq, expression: string): unknown {
  const printed = broker.control('eval', `base64:encode(rabbit_json:encode(${expression})).`);
  return JSON.parse(Buffer.from(printed.replace(/[^A-Za-z0-9+/=]/g, ''), 'base64').toString());
}

function judge(broker: RabbitMq, cases: readonly Case[]): unknown {
  const calls = cases.map(({ kind, name = 'p', pattern = '.*', applyTo = 'all', priority = 0, definition }) => {
    const args = ['/', name, pattern, JSON.stringify(definition), String(priority), applyTo, 'guest'].map(binary).join(',');
    return `rabbit_policy:${kind === undefined ? 'parse_set' : 'parse_set_op'}(${args})`;
  });
  return evaluate(broker, `[case R of ok -> <<"ok">>; {error_string, S} -> list_to_binary(S) end || R <- [${calls.join(',')}]]`);
}

function judgeHere(
  engine: Engine,
  { kind = 'policy', name = 'p', pattern = '.*', applyTo = 'all', priority = 0, definition }: Case,
): string {
  try {
    engine.broker.policies.put(kind, '/', name, { pattern, 'apply-to': applyTo, priority, definition });
    return 'ok';
  } catch (error) {
    if (error instanceof AmqpError) return error.message.replace('PRECONDITION_FAILED - ', '');
    throw error;
  }
}

async function fill(broker: RabbitMq): Promise<void> {
  const client = await AmqpClient.dial(broker.port);
  await client.login();
  client.send(1, 'channel.open');
  await client.next(1);
  for (const [queue, args] of queues) {
    client.send(1, 'queue.declare', { queue, arguments: new Map(args) });
    await client.next(1);
    for (let i = 0; i < MESSAGES; i++) client.publish(1, { routingKey: queue, body: new Uint8Array(3) });
    client.send(1, 'queue.declare', { queue, passive: true }); // all of them are in
    await client.next(1);
  }
  client.destroy();
}

/** Every policy put after the messages came, then all but the operators' taken away. */
function statesOf(broker: RabbitMq): unknown[] {
  const look = (): unknown => {
    const names = '[name, messages, policy, operator_policy, effective_policy_definition]';
    const row = "[element(4, N), M, P, O, maps:from_list(case E of '' -> []; _ -> E end)]";
    return evaluate(
      broker,
      `[${row} || Q <- rabbit_amqqueue:list(), [{_, N}, {_, M}, {_, P}, {_, O}, {_, E}] <- [rabbit_amqqueue:info(Q, ${names})]]`,
    );
  };
  judge(broker, held);
  const during = look();
  for (const { kind, name = '' } of held) if (kind === undefined) broker.control('clear_policy', name);
  return [during, look()].map((rows) => (Array.isArray(rows) ? rows.sort() : rows));
}

function statesHere(): unknown[] {
  const engine = new Engine();
  const peer = engine.connect();
  for (const [queue, args] of queues) {
    engine.declare(peer, queue, args);
    for (let i = 0; i < MESSAGES; i++) engine.publish(peer, '', queue, 'abc');
    engine.time.settle();
  }
  const look = (): unknown =>
    [...queues.keys()].sort().map((name) => {
      const { readyCount, policy } = queueOf(engine, name);
      return [name, readyCount, policy.policy ?? '', policy.operatorPolicy ?? '', policy.definition];
    });
  for (const each of held) judgeHere(engine, each);
  const during = look();
  for (const { kind, name = '' } of held) if (kind === undefined) engine.broker.policies.delete('policy', '/', name);
  return [during, look()];
}

test.skipIf(!hasRabbitMq())('policies are refused, hold and act as they do with RabbitMQ', { timeout: 120_000 }, async () => {
  const broker = await RabbitMq.start();
  try {
    const there = judge(broker, judged);
    const here = judged.map((each) => judgeHere(new Engine(), each));
    expect(here).toEqual(there);
    broker.control('clear_policy', 'p');
    broker.control('clear_operator_policy', 'p');
    await fill(broker);
    expect(statesHere()).toEqual(statesOf(broker));
  } finally {
    await broker.stop();
  }
});
