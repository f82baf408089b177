// The verbs over the HTTP API against brokers: RabbitMQ, whose names and columns they have, and Leveret.

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RABBIT_SHA256 } from '../../server/broker/password-hash.ts';
import type { Configure } from '../../server/cli/api-verb.ts';
import * as definitions from '../../server/cli/definitions.ts';
import * as doctor from '../../server/cli/doctor.ts';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import * as explain from '../../server/cli/explain.ts';
import * as lists from '../../server/cli/list.ts';
import { LISTINGS } from '../../server/cli/listings.ts';
import * as operations from '../../server/cli/operations.ts';
import * as permissions from '../../server/cli/permissions.ts';
import * as policies from '../../server/cli/policies.ts';
import * as top from '../../server/cli/top.ts';
import * as users from '../../server/cli/users.ts';
import * as vhosts from '../../server/cli/vhosts.ts';
import { rabbitHash } from '../../server/identity/passwords.ts';
import { type Ran, runVerb, type Surroundings, type Verb } from '../support/cli.ts';
import { type Running, SUBJECTS } from './cli-subject.ts';

const VERBS: Readonly<Record<string, Configure>> = {
  ...{
    ...definitions.verbs,
    ...lists.verbs,
    ...operations.verbs,
    ...permissions.verbs,
    ...policies.verbs,
    ...users.verbs,
    ...vhosts.verbs,
  },
  doctor: doctor.configure,
  explain: explain.configure,
  top: top.configure,
};

describe.each(SUBJECTS)('on $name', ({ name: subject, start }) => {
  let broker: Running;
  let mq: ChannelModel;
  const folder = mkdtempSync(join(tmpdir(), 'leveret-cli-'));

  beforeAll(async () => {
    broker = await start();
    mq = await connect(broker.amqpUrl);
    mq.on('error', () => undefined); // one test closes it
  }, 120_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await mq.close();
    await broker.stop();
  }, 60_000);

  const leveret = (verb: string, words: readonly string[], surroundings?: Surroundings): Promise<Ran> => {
    const configure = VERBS[verb];
    if (configure === undefined) throw new Error(`no verb ${verb}`);
    const module: Verb = { configure };
    return runVerb(module, [...words, '--url', broker.url], surroundings);
  };
  /** The rows of a verb that has to succeed. */
  const rows = async (verb: string, ...words: string[]): Promise<unknown[]> => {
    const ran = await leveret(verb, [...words, '--json']);
    expect(ran, `${verb} ${words.join(' ')}`).toMatchObject({ code: ExitCode.Ok, errors: '' });
    return ran.lines.map((line) => JSON.parse(line));
  };
  const done = async (verb: string, ...words: string[]): Promise<void> => {
    expect(await leveret(verb, [...words, '-q']), `${verb} ${words.join(' ')}`).toEqual({ code: ExitCode.Ok, lines: [], errors: '' });
  };
  const fails = async (verb: string, text: string, ...words: string[]): Promise<void> => {
    const ran = await leveret(verb, words);
    expect(ran.code, `${verb} ${words.join(' ')}`).toBe(ExitCode.Failure);
    expect(ran.errors).toContain(text);
  };

  test.each(Object.keys(LISTINGS))('%s lists', async (verb) => {
    const name = verb.includes('user_') ? ['guest'] : [];
    const ran = await leveret(verb, [...name, '-q']);
    expect(ran).toMatchObject({ code: ExitCode.Ok, errors: '' });
    const listing = Object.entries(LISTINGS).find(([each]) => each === verb)?.[1];
    expect(ran.lines[0]?.split('\t')).toEqual(listing?.shown);
  });

  test('a user is made, comes in, is tagged, gets another password, and goes', async () => {
    await done('add_user', 'eve', 'first');
    await fails('add_user', "user 'eve' exists already", 'eve', 'other');
    await done('authenticate_user', 'eve', 'first');
    await fails('authenticate_user', 'Login failed', 'eve', 'other');
    await done('set_user_tags', 'eve', 'management', 'monitoring');
    await done('authenticate_user', 'eve', 'first'); // tags left the password alone
    const changed = await leveret('change_password', ['eve'], { input: 'second\n' });
    expect(changed.code).toBe(ExitCode.Ok);
    await done('authenticate_user', 'eve', 'second');
    expect(await rows('list_users')).toContainEqual({ user: 'eve', tags: ['management', 'monitoring'] }); // and the password the tags
    await done('clear_password', 'eve');
    await fails('authenticate_user', 'Login failed', 'eve', 'second');
    await done('delete_user', 'eve');
    await fails('delete_user', "there is no user 'eve'", 'eve');
    await fails('change_password', "there is no user 'eve'", 'eve', 'x');
  });

  test('a hash of hash_password lets in who has the password', async () => {
    const hash = (await runVerb({ configure: VERBS['hash_password']! }, ['pass word'])).lines[0] ?? '';
    await done('add_user', 'hashed', hash, '--pre-hashed-password');
    await done('authenticate_user', 'hashed', 'pass word');
    await done('delete_user', 'hashed');
  });

  test('permissions are set, listed from both sides, and cleared', async () => {
    await done('add_user', 'joe', 'x');
    await done('add_vhost', 'shop', '--description', 'a shop');
    await fails('add_vhost', 'exists already', 'shop');
    await done('set_permissions', '-p', 'shop', 'joe', '^joe', '', '.*');
    expect(await rows('list_permissions', '-p', 'shop')).toContainEqual({ user: 'joe', configure: '^joe', write: '', read: '.*' });
    expect(await rows('list_user_permissions', 'joe')).toEqual([{ vhost: 'shop', configure: '^joe', write: '', read: '.*' }]);
    await done('set_topic_permissions', '-p', 'shop', 'joe', 'amq.topic', '^a', '^b');
    expect(await rows('list_topic_permissions', '-p', 'shop')).toEqual([{ user: 'joe', exchange: 'amq.topic', write: '^a', read: '^b' }]);
    await done('set_topic_permissions', '-p', 'shop', 'joe', 'amq.direct', '^a', '^b');
    await fails('clear_topic_permissions', 'clears them together', '-p', 'shop', 'joe', 'amq.topic');
    await done('clear_topic_permissions', '-p', 'shop', 'joe');
    expect(await rows('list_user_topic_permissions', 'joe')).toEqual([]);
    await fails('set_permissions', "there is no user 'nobody'", '-p', 'shop', 'nobody', '', '', '');
    await fails('set_topic_permissions', "there is no vhost 'nowhere'", '-p', 'nowhere', 'joe', 'amq.topic', '', '');
    for (const verb of ['list_user_permissions', 'list_user_topic_permissions', 'list_user_limits'])
      await fails(verb, "there is no user 'nobody'\nthose there are: leveret list_users", 'nobody');
    for (const verb of ['list_permissions', 'list_topic_permissions', 'list_vhost_limits', 'list_policies', 'list_consumers'])
      await fails(verb, "there is no vhost 'nowhere'", '-p', 'nowhere');
    await done('clear_permissions', '-p', 'shop', 'joe');
    await fails('clear_permissions', "there is no permission of user 'joe'", '-p', 'shop', 'joe');
    await done('delete_vhost', 'shop');
    await fails('delete_vhost', "there is no vhost 'shop'", 'shop');
    await done('delete_user', 'joe');
  });

  test('limits are set, listed and cleared', async () => {
    await done('add_user', 'lim', 'x');
    await done('set_user_limits', 'lim', '{"max-connections": 3, "max-channels": 7}');
    expect(await rows('list_user_limits', 'lim')).toEqual([{ user: 'lim', value: { 'max-connections': 3, 'max-channels': 7 } }]);
    await done('clear_user_limits', 'lim', 'max-channels');
    expect(await rows('list_user_limits', 'lim')).toEqual([{ user: 'lim', value: { 'max-connections': 3 } }]);
    await done('clear_user_limits', 'lim');
    await done('delete_user', 'lim');
    await done('add_vhost', 'limited');
    await done('set_vhost_limits', '-p', 'limited', '{"max-queues": 3}');
    expect(await rows('list_vhost_limits', '-p', 'limited')).toEqual([{ vhost: 'limited', value: { 'max-queues': 3 } }]);
    await done('clear_vhost_limits', '-p', 'limited');
    expect(await rows('list_vhost_limits', '-p', 'limited', 'value')).not.toContainEqual({ value: { 'max-queues': 3 } });
    await fails('set_vhost_limits', "there is no vhost 'nowhere'", '-p', 'nowhere', '{}');
    await done('delete_vhost', 'limited');
  });

  test('policies are set, listed and cleared', async () => {
    await done('set_policy', 'caps', '^capped', '{"max-length": 5}', '--priority', '3', '--apply-to', 'queues');
    const caps = { vhost: '/', name: 'caps', pattern: '^capped', 'apply-to': 'queues', definition: { 'max-length': 5 }, priority: 3 };
    expect(await rows('list_policies')).toEqual([caps]);
    await fails('set_policy', 'regular expression', 'bad', '(', '{"max-length": 5}');
    await done('set_operator_policy', 'ops', '.*', '{"max-length": 50}');
    expect(await rows('list_operator_policies', 'name', 'pattern', 'apply-to')).toEqual([
      { name: 'ops', pattern: '.*', 'apply-to': 'queues' },
    ]);
    const globbed = await leveret('set_policy', ['--glob', 'globbed', 'caps.*', '{"max-length": 5}']);
    expect(globbed.code).toBe(subject === 'Leveret' ? ExitCode.Ok : ExitCode.Failure);
    if (subject === 'Leveret') {
      expect(await rows('list_policies', 'pattern', 'glob')).toContainEqual({ pattern: 'caps.* (glob)', glob: 'caps.*' });
      await done('clear_policy', 'globbed');
    }
    await done('clear_policy', 'caps');
    await fails('clear_policy', "there is no policy 'caps'", 'caps');
    await done('clear_operator_policy', 'ops');
    expect(await rows('list_operator_policies')).toEqual([]);
  });

  test('queues with any name are listed with their columns, purged and deleted', async () => {
    const channel = await mq.createConfirmChannel();
    const name = 'a/b ü?#%&+';
    await channel.assertQueue(name, { durable: true, arguments: { 'x-max-length': 10 } });
    await new Promise((resolve, reject) =>
      channel.sendToQueue(name, Buffer.from('x'), {}, (error) => (error ? reject(error) : resolve(0))),
    );
    const shown = { name, durable: true, auto_delete: false, vhost: '/' };
    expect(await rows('list_queues', 'name', 'durable', 'auto_delete', 'vhost')).toContainEqual(shown);
    expect(await rows('list_queues', 'name', 'arguments')).toContainEqual({ name, arguments: { 'x-max-length': 10 } });
    expect(await rows('list_bindings', 'source_name', 'source_kind', 'destination_name', 'destination_kind', 'routing_key')).toContainEqual(
      {
        ...{ source_name: '', source_kind: 'exchange', destination_name: name, destination_kind: 'queue', routing_key: name },
      },
    );
    await done('purge_queue', name);
    expect(await channel.get(name)).toBe(false);
    await channel.close();
    await done('delete_queue', name, '--if-empty');
    await fails('delete_queue', `there is no queue '${name}'`, name);
    await fails('purge_queue', `there is no queue '${name}'`, name);
  });

  test('a list of more than a page is whole, each once', async () => {
    const channel = await mq.createChannel();
    const names = Array.from({ length: 520 }, (_, index) => `page-${String(index).padStart(3, '0')}`);
    await Promise.all(names.map((queue) => channel.assertQueue(queue, { durable: false })));
    const { lines } = await leveret('list_queues', ['name', '-s']);
    expect(lines.filter((line) => line.startsWith('page-'))).toEqual(names);
    await Promise.all(names.map((queue) => channel.deleteQueue(queue)));
    await channel.close();
  });

  test('a connection is listed by its name and closed with a reason', async () => {
    const victim = await connect(broker.amqpUrl);
    const ended = new Promise<Error>((resolve) => victim.once('close', resolve));
    let name = '';
    await expect // the statistics of RabbitMQ come some seconds late
      .poll(
        async () => {
          const all = (await rows('list_connections', 'name', 'client_properties')) as { name: string }[];
          name = all.length === 2 ? (all.at(-1)?.name ?? '') : '';
          return name;
        },
        { timeout: 30_000, interval: 500 },
      )
      .not.toBe('');
    expect(await leveret('close_all_connections', ['for the test', '--limit', '0'])).toMatchObject({ code: ExitCode.Usage });
    await done('close_all_connections', 'for the test');
    expect((await ended).message).toContain('for the test');
    await fails('close_connection', 'there is no connection', 'nobody:1 -> nobody:2', 'why');
    mq = await connect(broker.amqpUrl);
  });

  test('what is exported imports again, and a plan of it has nothing to do', async () => {
    const file = join(folder, 'definitions.json');
    writeFileSync(file, 'for all to read', { mode: 0o644 });
    await done('export_definitions', file);
    expect(statSync(file).mode & 0o077).toBe(0);
    await done('import_definitions', file);
    const planned = await leveret('plan', [file, '--check']);
    expect(planned).toMatchObject({ code: ExitCode.Ok, lines: ['0 to create, 0 to change, 0 to delete'] });
  });

  test('apply makes what a plan shows, prunes only when asked to, and then has nothing to do', async () => {
    const channel = await mq.createChannel();
    await channel.assertExchange('extra', 'fanout');
    await channel.assertQueue('extra');
    await channel.bindQueue('extra', 'extra', 'key', { n: 1 });
    await channel.close();
    const file = join(folder, 'wanted.json');
    const queue = { name: 'kept', vhost: '/', durable: true, auto_delete: false, arguments: {} };
    const binding = { source: 'amq.topic', vhost: '/', destination: 'kept', destination_type: 'queue', routing_key: 'a.#', arguments: {} };
    writeFileSync(file, JSON.stringify({ queues: [queue], exchanges: [], bindings: [binding] }));
    const planned = await rows('plan', file);
    expect(planned).toMatchObject([
      { act: 'create', kind: 'queue', key: ['/', 'kept'] },
      { act: 'create', kind: 'binding' },
    ]);
    expect((await leveret('plan', [file, '--check'])).code).toBe(ExitCode.Failure);
    expect((await leveret('apply', [file])).code).toBe(ExitCode.Ok);
    expect(await rows('list_queues', 'name')).toEqual([{ name: 'extra' }, { name: 'kept' }]);
    expect((await leveret('apply', [file, '--prune'])).code).toBe(ExitCode.Ok);
    expect(await rows('list_queues', 'name')).toEqual([{ name: 'kept' }]);
    expect(await rows('list_exchanges', 'name')).not.toContainEqual({ name: 'extra' });
    expect((await leveret('apply', [file, '--prune'])).lines.at(-1)).toBe('nothing to do');
    writeFileSync(file, JSON.stringify({ queues: [{ ...queue, durable: false }] }));
    await fails('apply', "inequivalent arg 'durable' for queue 'kept' in vhost '/'", file);
    await done('delete_queue', 'kept');
  });

  test('status, top and doctor look at it', async () => {
    const channel = await mq.createChannel();
    await channel.assertQueue('looked-at');
    await channel.consume('looked-at', () => undefined, { noAck: true });
    expect(await rows('status')).toMatchObject([{ alarms: [], objects: { queues: 1 } }]);
    expect((await leveret('status', [])).lines.join('\n')).toMatch(/broker +(RabbitMQ|Leveret) [\d.]+\n/);
    expect(await rows('top')).toMatchObject([{ name: 'looked-at', ready: 0 }]);
    await expect
      .poll(async () => ((await rows('doctor')) as { code: string }[]).map(({ code }) => code), { timeout: 30_000, interval: 500 })
      .toEqual(['queue-without-dlx', 'queue-without-limit', 'consumer-auto-ack']);
    expect((await leveret('doctor', ['--strict'])).code).toBe(ExitCode.Failure);
    await channel.close();
    await done('delete_queue', 'looked-at', '--if-unused');
  });

  test('doctor finds a consumer without prefetch, and, where the broker tells, a dead-letter queue without an alert', async () => {
    const channel = await mq.createChannel();
    await channel.assertQueue('dead', { arguments: { 'x-max-length': 5 } });
    await channel.assertQueue('work', { maxLength: 5, deadLetterExchange: '', deadLetterRoutingKey: 'dead' });
    await channel.consume('work', () => undefined);
    const connection = expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/);
    await expect
      .poll(() => rows('list_consumers', 'queue_name', 'channel', 'connection', 'user'), { timeout: 30_000, interval: 500 })
      .toEqual([{ queue_name: 'work', channel: expect.stringMatching(/ -> .* \(\d\)$/), connection, user: 'guest' }]);
    await expect
      .poll(() => rows('list_channels', 'user', 'consumer_count', 'messages_unacknowledged', 'confirm'), { timeout: 30_000, interval: 500 })
      .toEqual([{ user: 'guest', consumer_count: 1, messages_unacknowledged: 0, confirm: false }]);
    const expected = ['consumer-prefetch-0 consumer', ...(subject === 'Leveret' ? ["dead-letter-queue-without-alert queue 'dead'"] : [])];
    const found = async (): Promise<string[]> =>
      ((await rows('doctor')) as { code: string; subject: string }[])
        .map(({ code, subject: found }) => `${code} ${found.replace(/(consumer) .*/, '$1')}`)
        .sort();
    await expect.poll(found, { timeout: 30_000, interval: 500 }).toEqual(expected);
    await channel.close();
    await done('delete_queue', 'work');
    await done('delete_queue', 'dead');
  });

  test('explain tells where a publish would go, or that this broker cannot', async () => {
    const channel = await mq.createChannel();
    await channel.assertQueue('asked', { maxLength: 5 });
    await channel.bindQueue('asked', 'amq.topic', 'order.*');
    await channel.bindQueue('asked', 'amq.headers', '', { n: 1 });
    await channel.close();
    const explained = await leveret('explain', ['amq.topic', 'order.new', '--bytes', '10']);
    if (subject === 'RabbitMQ')
      expect(explained).toMatchObject({ code: ExitCode.Failure, errors: expect.stringContaining('does not explain') });
    else {
      expect(explained).toEqual({
        code: ExitCode.Ok,
        lines: [
          "exchange 'amq.topic' (topic)",
          "  + queue 'asked': 'order.new' matches the pattern 'order.*'",
          "queue 'asked' enqueue: 0 ready, room for it",
        ],
        errors: '',
      });
      expect((await leveret('explain', ['amq.topic', 'order'])).code).toBe(ExitCode.Failure);
      expect((await leveret('explain', ['', 'asked'])).lines[0]).toBe('the default exchange (direct)');
      expect((await leveret('explain', ['amq.headers', '-H', 'n=1', '-P', 'priority=3'])).code).toBe(ExitCode.Ok);
      expect((await leveret('explain', ['amq.headers', '-H', 'n="1"'])).code).toBe(ExitCode.Failure);
      await fails('explain', "there is no exchange 'nowhere' in vhost '/'", 'nowhere', 'key');
      const bad = await leveret('explain', ['amq.topic', 'k', '-P', 'expiration=soon']);
      expect(bad).toMatchObject({ code: ExitCode.Failure, errors: expect.stringContaining('expiration') });
    }
    await done('delete_queue', 'asked');
  });

  test('a plan shows no hash, and a file that would delete who asks, or cannot be applied whole, changes nothing', async () => {
    await done('add_user', 'planned', 'x');
    const file = join(folder, 'users.json');
    const user = { name: 'planned', password_hash: rabbitHash('y').toString('base64'), hashing_algorithm: RABBIT_SHA256, tags: [] };
    writeFileSync(file, JSON.stringify({ users: [user, { ...user, name: 'other' }] }));
    for (const more of [[], ['--json']]) {
      const { lines } = await leveret('plan', [file, ...more]);
      expect(lines.join()).toContain('changed');
      expect(lines.join()).not.toContain(user.password_hash.slice(0, 8));
    }
    await fails('apply', "user 'guest' may not be deleted: it is who asks", file, '--prune');
    writeFileSync(
      file,
      JSON.stringify({ users: [user], queues: [{ name: 'half', vhost: '/', durable: true, arguments: { 'x-max-length': -1 } }] }),
    );
    expect((await leveret('apply', [file])).code).not.toBe(ExitCode.Ok);
    await done('authenticate_user', 'planned', 'x');
    await done('delete_user', 'planned');
  });

  test('who cannot log in is told so, without the password', async () => {
    const words = ['--url', broker.url.replace('guest:guest@', '').replace('//', '//guest:wr0ng@')];
    const refused = await runVerb({ configure: VERBS['status']! }, words);
    expect(refused.code).toBe(ExitCode.LoginRefused);
    expect(refused.errors).not.toContain('wr0ng');
  });
});
