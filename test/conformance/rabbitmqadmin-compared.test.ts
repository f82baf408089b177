// One tour with rabbitmqadmin, of Leveret and of a real RabbitMQ: the same words end with the same exit code and print the same.
import { once } from 'node:events';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { createBroker } from '../../server/index.ts';
import { findRabbitmqadmin, Rabbitmqadmin, type Run } from '../support/rabbitmqadmin.ts';

/** In the order in which they are said. */
const TOUR: readonly (readonly string[])[] = [
  ['declare', 'exchange', 'name=orders', 'type=topic'],
  ['declare', 'exchange', 'name=orders', 'type=direct'],
  ['declare', 'exchange', 'name=odd', 'type=odd'],
  ['declare', 'exchange', 'name=audit', 'type=fanout', 'durable=false', 'auto_delete=false', 'internal=true'],
  ['declare', 'queue', 'name=billing', 'arguments={"x-max-length":10,"x-queue-type":"classic"}'],
  ['declare', 'queue', 'name=billing', 'arguments={"x-max-length":11,"x-queue-type":"classic"}'],
  ['declare', 'queue', 'name=bad', 'arguments={"x-max-length":-1}'],
  ['declare', 'queue', 'name=a/b c%', 'durable=false'],
  ['declare', 'binding', 'source=orders', 'destination=billing', 'routing_key=order.#'],
  ['declare', 'binding', 'source=orders', 'destination=billing'],
  ['declare', 'binding', 'source=orders', 'destination=nowhere'],
  ['declare', 'binding', 'source=orders', 'destination=audit', 'destination_type=exchange', 'routing_key=#'],
  ['list', 'exchanges', 'name', 'type', 'durable', 'internal', 'auto_delete', 'arguments'],
  ['list', 'queues', 'vhost', 'name', 'durable', 'auto_delete', 'exclusive', 'arguments', 'type'],
  ['-s', 'name', '--sort-reverse', 'list', 'queues', 'name'],
  ['list', 'bindings', 'source', 'destination', 'destination_type', 'routing_key', 'properties_key', 'arguments'],
  ['publish', 'exchange=orders', 'routing_key=order.new', 'payload=hello', 'properties={"content_type":"text/plain","headers":{"n":1}}'],
  ['publish', 'exchange=audit', 'routing_key=nobody', 'payload=hello'],
  ['publish', 'exchange=missing', 'routing_key=nobody', 'payload=hello'],
  ['publish', 'routing_key=a/b c%', 'payload=AQID', 'payload_encoding=base64'],
  ['-f', 'raw_json', 'get', 'queue=billing'],
  ['-f', 'raw_json', 'get', 'queue=billing', 'ackmode=reject_requeue_true'],
  ['-f', 'raw_json', 'get', 'queue=billing', 'ackmode=ack_requeue_false', 'encoding=base64'],
  ['-f', 'raw_json', 'get', 'queue=billing', 'count=5'],
  ['-f', 'raw_json', 'get', 'queue=a/b c%'],
  ['get', 'queue=missing'],
  ['purge', 'queue', 'name=a/b c%'],
  ['purge', 'queue', 'name=missing'],
  ['declare', 'vhost', 'name=shop'],
  ['declare', 'user', 'name=bob', 'password=secret', 'tags=management'],
  ['declare', 'user', 'name=eve', 'password_hash=', 'tags='],
  ['declare', 'permission', 'vhost=shop', 'user=bob', 'configure=^bob', 'write=^bob', 'read=.*'],
  ['declare', 'permission', 'vhost=shop', 'user=nobody', 'configure=', 'write=', 'read='],
  ['list', 'users', 'name', 'tags'],
  ['list', 'permissions'],
  ['list', 'parameters'],
  ['list', 'vhosts', 'name', 'tracing'],
  ['-u', 'bob', '-p', 'secret', '-V', 'shop', 'declare', 'queue', 'name=bob.q'],
  ['-u', 'bob', '-p', 'secret', '-V', 'shop', 'declare', 'queue', 'name=other'],
  ['-u', 'bob', '-p', 'secret', '-V', '/', 'declare', 'queue', 'name=other'],
  ['-u', 'bob', '-p', 'secret', 'list', 'users'],
  ['-u', 'bob', '-p', 'secret', 'list', 'vhosts', 'name'],
  ['-u', 'bob', '-p', 'secret', 'list', 'queues', 'vhost', 'name'],
  ['-u', 'bob', '-p', 'wrong', 'list', 'queues'],
  ['-u', 'eve', '-p', '', 'list', 'queues'],
  ['declare', 'policy', 'name=short', 'pattern=^b', 'definition={"max-length":5}', 'priority=1', 'apply-to=queues'],
  ['declare', 'policy', 'name=bad', 'pattern=^b', 'definition={}'],
  ['declare', 'policy', 'name=bad', 'pattern=^b', 'definition={"max-length":-1}'],
  ['declare', 'policy', 'name=bad', 'pattern=^b', 'definition={"message-ttl":"soon"}'],
  ['declare', 'policy', 'name=bad', 'pattern=^b', 'definition={"odd":1}'],
  ['declare', 'policy', 'name=bad', 'pattern=(', 'definition={"max-length":5}'],
  ['declare', 'policy', 'name=bad', 'pattern=^b', 'definition={"max-length":5}', 'apply-to=odd'],
  ['-V', 'nowhere', 'declare', 'policy', 'name=bad', 'pattern=^b', 'definition={"max-length":5}'],
  ['declare', 'policy', 'name=short', 'pattern=^b', 'definition={"max-length":1,"overflow":"drop-head"}', 'priority=2'],
  ['declare', 'policy', 'name=later', 'pattern=.*', 'definition={"expires":100000}', 'apply-to=queues', 'priority=-1'],
  ['publish', 'routing_key=billing', 'payload=first'],
  ['publish', 'routing_key=billing', 'payload=second'],
  ['-f', 'raw_json', 'get', 'queue=billing', 'count=5', 'ackmode=ack_requeue_true'],
  ['declare', 'operator_policy', 'name=cap', 'pattern=.*', 'definition={"max-length":1000}'],
  ['declare', 'operator_policy', 'name=bad', 'pattern=.*', 'definition={"dead-letter-exchange":"x"}'],
  ['declare', 'operator_policy', 'name=bad', 'pattern=.*', 'definition={}'],
  ['list', 'policies', 'vhost', 'name', 'pattern', 'apply-to', 'definition', 'priority'],
  ['list', 'operator_policies', 'vhost', 'name', 'pattern', 'definition', 'priority'],
  ['declare', 'vhost_limit', 'vhost=shop', 'name=max-queues', 'value=100'],
  ['list', 'vhost_limits'],
  ['delete', 'vhost_limit', 'vhost=shop', 'name=max-queues'],
  ['delete', 'policy', 'name=short'],
  ['delete', 'policy', 'name=short'],
  ['delete', 'operator_policy', 'name=cap'],
  ['-f', 'raw_json', 'get', 'queue=billing', 'ackmode=ack_requeue_false'],
  ['delete', 'policy', 'name=later'],
  ['list', 'policies'],
  ['list', 'consumers'],
  ['delete', 'binding', 'source=orders', 'destination_type=queue', 'destination=billing', 'properties_key=order.%23'],
  ['delete', 'binding', 'source=orders', 'destination_type=queue', 'destination=billing', 'properties_key=~'],
  ['delete', 'binding', 'source=orders', 'destination_type=queue', 'destination=billing', 'properties_key=~'],
  ['delete', 'queue', 'name=billing'],
  ['delete', 'queue', 'name=billing'],
  ['delete', 'queue', 'name=a/b c%'],
  ['delete', 'exchange', 'name=orders'],
  ['delete', 'exchange', 'name=amq.topic'],
  ['delete', 'permission', 'vhost=shop', 'user=bob'],
  ['delete', 'user', 'name=bob'],
  ['delete', 'user', 'name=nobody'],
  ['delete', 'vhost', 'name=shop'],
  ['delete', 'vhost', 'name=nowhere'],
  ['list', 'bindings'],
  ['show', 'overview', 'rates_mode'],
  ['close', 'connection', 'name=nobody'],
];

/** Where Leveret says something else, and why. What no longer differs fails. */
const MEANT: Readonly<Record<string, string>> = {
  'publish exchange=audit routing_key=nobody payload=hello':
    'an internal exchange refuses with 401, as every want of a right does; RabbitMQ with 400',
  'declare policy name=bad pattern=( definition={"max-length":5}': 'the expressions are JavaScript here, and the words about a bad one',
  'declare policy name=bad pattern=^b definition={"max-length":5} apply-to=odd': 'there are the types of queues too, as in RabbitMQ 4',
};

const ENTITIES: readonly (readonly [string, string])[] = [
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&amp;', '&'],
];

/** Fields of JSON in any order; RabbitMQ writes properties that are none as a list, and escapes reasons for a page. */
function comparable({ code, stdout, stderr }: Run): unknown {
  const text = stdout.replaceAll('"properties":[]', '"properties":{}');
  const reason = ENTITIES.reduce((said, [entity, sign]) => said.replaceAll(entity, sign), stderr);
  return { code, stderr: reason, stdout: text.startsWith('[{') ? JSON.parse(text) : text };
}

describe.skipIf(!hasRabbitMq() || findRabbitmqadmin() === undefined)('rabbitmqadmin, of Leveret and of RabbitMQ', () => {
  let theirs: RabbitMq;
  let ours: ReturnType<typeof createBroker>;
  let amqpPort: number;
  let admin: Rabbitmqadmin;
  let theirAdmin: Rabbitmqadmin;
  beforeAll(async () => {
    theirs = await RabbitMq.start({
      plugins: ['rabbitmq_management', 'rabbitmq_event_exchange'],
      config: ['collect_statistics_interval = 500'],
    });
    ours = createBroker();
    const listening = await ours.listen({ port: 0, amqpPort: 0 });
    amqpPort = Number(new URL(listening.amqpUrl ?? '').port);
    [admin, theirAdmin] = [new Rabbitmqadmin(listening.port), new Rabbitmqadmin(theirs.managementPort)];
  }, 120_000);
  afterAll(async () => {
    await Promise.all([admin.stop(), theirAdmin.stop()]);
    await ours.close();
    await theirs.stop();
  });

  test.each(TOUR.map((words) => [words.join(' '), words] as const))('%s', { timeout: 120_000 }, async (said, words) => {
    const [our, their] = await Promise.all([admin.run(...words), theirAdmin.run(...words)]);
    if (Object.hasOwn(MEANT, said)) expect(comparable(our)).not.toEqual(comparable(their));
    else expect(comparable(our)).toEqual(comparable(their));
  });

  test('queues and exchanges show the policies that hold for them', { timeout: 120_000 }, async () => {
    const says = [
      ['declare', 'queue', 'name=held'],
      ['declare', 'exchange', 'name=held.exchange', 'type=direct'],
      ['declare', 'policy', 'name=mine', 'pattern=^held', 'definition={"max-length":5,"alternate-exchange":"amq.fanout"}'],
      ['declare', 'operator_policy', 'name=cap', 'pattern=^held', 'definition={"max-length":2,"message-ttl":60000}'],
    ];
    for (const words of says) await Promise.all([admin.run(...words), theirAdmin.run(...words)]);
    const list = async (driver: Rabbitmqadmin, ...words: string[]): Promise<unknown> =>
      JSON.parse((await driver.run('-f', 'raw_json', 'list', ...words)).stdout);
    const shown = async (driver: Rabbitmqadmin) => [
      await list(driver, 'queues', 'name', 'policy', 'operator_policy', 'effective_policy_definition'),
      await list(driver, 'exchanges', 'name', 'policy'),
    ];
    const our = await shown(admin);
    const definition = { 'alternate-exchange': 'amq.fanout', 'max-length': 2, 'message-ttl': 60_000 };
    expect(our[0]).toEqual([{ name: 'held', policy: 'mine', operator_policy: 'cap', effective_policy_definition: definition }]);
    await expect.poll(() => shown(theirAdmin), { timeout: 60_000 }).toEqual(our); // RabbitMQ shows it some time later
  });

  test('close connection ends it with 320 and says who did', { timeout: 120_000 }, async () => {
    const ends = [];
    for (const [management, amqp] of [
      [admin, amqpPort],
      [theirAdmin, theirs.port],
    ] as const) {
      const connection = await connect(`amqp://guest:guest@127.0.0.1:${amqp}`);
      const ended = once(connection, 'close');
      let name = '';
      await expect // RabbitMQ lists it some time later
        .poll(
          async () => {
            const { stdout } = await management.run('-f', 'raw_json', 'list', 'connections', 'name');
            return (name = JSON.parse(stdout)[0]?.name ?? '');
          },
          { timeout: 60_000 },
        )
        .not.toBe('');
      const { code } = await management.run('close', 'connection', `name=${name}`);
      ends.push([code, String(await ended)]);
    }
    expect(ends[0]).toEqual(ends[1]);
    expect(ends[0]?.[1]).toContain('320');
  });
});
