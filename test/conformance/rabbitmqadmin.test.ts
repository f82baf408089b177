// RabbitMQ's own rabbitmqadmin, as its package ships it, against Leveret's management API: a tour of what people do with it.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRabbitmqadmin, Rabbitmqadmin } from '../support/rabbitmqadmin.ts';
import { Started } from '../support/started.ts';

const script = findRabbitmqadmin();
let driver: Rabbitmqadmin;
let started: Started;

beforeEach(async () => {
  started = new Started(['--memory', '--http-port', '0', '--amqp-port', '0']);
  driver = new Rabbitmqadmin(await started.port());
});
afterEach(async () => {
  await driver.stop();
  await started.stop();
});

/** What it prints; rejects when it exits with anything but 0. */
async function admin(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await driver.run(...words);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}
async function listed(...words: string[]): Promise<unknown> {
  return JSON.parse(await admin('-f', 'raw_json', ...words));
}

test.skipIf(script === undefined)('rabbitmqadmin declares, publishes, gets, lists and deletes', { timeout: 240_000 }, async () => {
  expect(await admin('show', 'overview')).toContain('rabbitmq_version');
  await admin('declare', 'exchange', 'name=orders', 'type=topic', 'durable=true');
  await admin('declare', 'queue', 'name=billing', 'durable=true', 'arguments={"x-max-length":10}');
  await admin('declare', 'queue', 'name=billing', 'durable=true', 'arguments={"x-max-length":10}'); // again is no mistake
  await expect(admin('declare', 'queue', 'name=billing', 'durable=false')).rejects.toThrow("inequivalent arg 'durable'");
  await admin('declare', 'binding', 'source=orders', 'destination=billing', 'routing_key=order.#');
  await admin('declare', 'binding', 'source=orders', 'destination=billing', 'routing_key=x', 'arguments={"n":1}');
  const bindings = await listed('list', 'bindings', 'source', 'destination', 'routing_key', 'properties_key');
  expect(bindings).toContainEqual({ source: '', destination: 'billing', routing_key: 'billing', properties_key: 'billing' });
  expect(bindings).toContainEqual({ source: 'orders', destination: 'billing', routing_key: 'order.#', properties_key: 'order.%23' });

  expect(await admin('publish', 'exchange=orders', 'routing_key=order.new', 'payload=hello')).toContain('Message published');
  expect(await admin('publish', 'exchange=orders', 'routing_key=nobody', 'payload=hello')).toContain('Message published but NOT routed');
  expect(await listed('list', 'queues', 'name', 'messages')).toEqual([{ name: 'billing', messages: 1 }]);
  expect(await listed('get', 'queue=billing', 'ackmode=ack_requeue_true')).toMatchObject([{ payload: 'hello', redelivered: false }]);
  expect(await listed('get', 'queue=billing', 'ackmode=ack_requeue_false')).toMatchObject([{ payload: 'hello', redelivered: true }]);
  expect(await listed('get', 'queue=billing')).toEqual([]);
  await admin('publish', 'routing_key=billing', 'payload=by the default exchange');
  await admin('purge', 'queue', 'name=billing');
  expect(await listed('list', 'queues', 'name', 'messages')).toEqual([{ name: 'billing', messages: 0 }]);

  await admin('delete', 'binding', 'source=orders', 'destination_type=queue', 'destination=billing', 'properties_key=order.%23');
  expect(await listed('list', 'bindings', 'routing_key')).not.toContainEqual({ routing_key: 'order.#' });
  await admin('delete', 'queue', 'name=billing');
  await admin('delete', 'exchange', 'name=orders');
  await expect(admin('delete', 'queue', 'name=billing')).rejects.toThrow('Not found');
});

test.skipIf(script === undefined)(
  'rabbitmqadmin makes vhosts, users and permissions, and comes in as one of them',
  { timeout: 240_000 },
  async () => {
    await admin('declare', 'vhost', 'name=shop');
    await admin('declare', 'user', 'name=bob', 'password=secret', 'tags=management');
    await admin('declare', 'permission', 'vhost=shop', 'user=bob', 'configure=^bob', 'write=^bob', 'read=.*');
    expect(await listed('list', 'users', 'name', 'tags')).toContainEqual({ name: 'bob', tags: ['management'] });
    const bob = ['-u', 'bob', '-p', 'secret', '-V', 'shop'];
    await admin(...bob, 'declare', 'queue', 'name=bob.q');
    await expect(admin(...bob, 'declare', 'queue', 'name=other')).rejects.toThrow('Access refused');
    await expect(admin(...bob, 'list', 'users')).rejects.toThrow('Access refused');
    expect(await listed(...bob, 'list', 'queues', 'name')).toEqual([{ name: 'bob.q' }]);
    expect(await listed(...bob, 'list', 'vhosts', 'name')).toEqual([{ name: 'shop' }]);
    await admin('delete', 'permission', 'vhost=shop', 'user=bob');
    await expect(admin(...bob, 'list', 'queues', 'name')).rejects.toThrow();
    await admin('delete', 'user', 'name=bob');
    await admin('delete', 'vhost', 'name=shop');
    expect(await listed('list', 'vhosts', 'name')).toEqual([{ name: '/' }]);
    for (const things of ['connections', 'channels', 'consumers', 'nodes', 'exchanges', 'permissions']) await admin('list', things);
  },
);
