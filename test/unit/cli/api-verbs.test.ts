// The verbs over the HTTP API and a fake of it: what they ask for and send, what they print, what they keep to themselves.
// What brokers make of it: test/conformance/cli.test.ts.

import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Configure } from '../../../server/cli/api-verb.ts';
import * as definitions from '../../../server/cli/definitions.ts';
import { CliError, ExitCode } from '../../../server/cli/exit-codes.ts';
import * as explain from '../../../server/cli/explain.ts';
import * as lists from '../../../server/cli/list.ts';
import * as operations from '../../../server/cli/operations.ts';
import { readPassword } from '../../../server/cli/password.ts';
import * as permissions from '../../../server/cli/permissions.ts';
import * as users from '../../../server/cli/users.ts';
import { rabbitHash } from '../../../server/identity/passwords.ts';
import { type Ran, runVerb, type Surroundings } from '../../support/cli.ts';
import { type Answer, FakeApi, reply } from '../../support/fake-api.ts';

const VERBS: Readonly<Record<string, Configure>> = {
  ...{ ...definitions.verbs, ...lists.verbs, ...operations.verbs, ...permissions.verbs, ...users.verbs },
  explain: explain.configure,
};

async function run(
  words: readonly string[],
  answers: Readonly<Record<string, Answer>>,
  surroundings?: Surroundings,
): Promise<Ran & { fake: FakeApi }> {
  const fake = await FakeApi.start(answers);
  const [verb = '', ...rest] = words;
  const configure = VERBS[verb];
  if (configure === undefined) throw new Error(`no verb ${verb}`);
  const ran = await runVerb({ configure }, [...rest, '--url', fake.url], surroundings);
  return { ...ran, fake };
}

describe('a list', () => {
  const queues = [
    { name: 'orders', messages: 12, arguments: {} },
    { name: 'a\tb\u001b[31m', messages: 3, arguments: { 'x-max-length': 5 } },
  ];
  const answers = { 'GET /api/queues/%2F': queues };

  test('has tabs between its columns in a pipe, and control characters are shown', async () => {
    const ran = await run(['list_queues'], answers);
    expect(ran.lines).toEqual(['name\tmessages', 'orders\t12', 'a\\tb\\x1b[31m\t3']);
    expect(ran.errors).toBe('Listing queues for vhost / ...\n');
  });
  test('has columns under each other on a terminal, numbers at the right', async () => {
    const ran = await run(['list_queues', '-q'], answers, { isTerminal: true, environment: { NO_COLOR: '1' } });
    expect(ran.lines).toEqual(['name          messages', 'orders              12', 'a\\tb\\x1b[31m         3']);
  });
  test('is one object a line with --json, of the columns that were asked for', async () => {
    const ran = await run(['list_queues', 'arguments', 'name', '--json'], answers);
    expect(ran.lines.map((line) => JSON.parse(line))).toEqual(queues.map(({ name, arguments: args }) => ({ name, arguments: args })));
    expect(ran.fake.asked[0]?.query.get('columns')).toBe('name,arguments');
  });
  test('has no header with --no-table-headers and no remark with -q, neither with -s', async () => {
    expect((await run(['list_queues', '--no-table-headers'], answers)).lines).toHaveLength(2);
    expect(await run(['list_queues', '-s'], answers)).toMatchObject({ errors: '', lines: ['orders\t12', 'a\\tb\\x1b[31m\t3'] });
  });
  test('refuses a column that is none before it asks anybody', async () => {
    const ran = await run(['list_queues', 'nmae'], answers);
    expect(ran.code).toBe(ExitCode.Usage);
    expect(ran.errors).toContain("queues have no column 'nmae'\nthere are name vhost");
    expect(ran.fake.asked).toEqual([]);
  });
  test('takes any field with dots, and shows nothing for one that is not there', async () => {
    const stats = [{ name: 'q', message_stats: { publish_details: { rate: 1.5 } } }, { name: 'r' }];
    const ran = await run(['list_queues', 'name', 'message_stats.publish_details.rate', '-s'], { 'GET /api/queues/%2F': stats });
    expect(ran.lines).toEqual(['q\t1.5', 'r\t']);
  });
  test('prints no header above a refusal', async () => {
    const ran = await run(['list_queues', '-p', 'nowhere'], answers);
    expect(ran).toMatchObject({ code: ExitCode.Failure, lines: [] });
    expect(ran.errors).toContain("there is no vhost 'nowhere'");
  });
  test('whose reader goes away ends as a success', async () => {
    const many = Array.from({ length: 200 }, (_, index) => ({ name: `q${index}`, messages: 0 }));
    expect(await run(['list_queues', '-q'], { 'GET /api/queues/%2F': many }, { readerStopsAfter: 2 })).toMatchObject({
      code: ExitCode.Ok,
      errors: '',
    });
  });
  test('words in a cell stand as rabbitmqctl writes them', async () => {
    const ran = await run(['list_users', '-s'], { 'GET /api/users': [{ name: 'eve', tags: ['a', 'b'] }] });
    expect(ran.lines).toEqual(['eve\t[a, b]']);
  });
});

describe('a password', () => {
  const eve = { name: 'eve', tags: ['management'], password_hash: 'HASH', hashing_algorithm: 'x' };

  test('comes from the first line of the input, and is printed by no verb', async () => {
    const ran = await run(['add_user', 'eve', '--json'], {}, { input: 'pass word\nmore\n' });
    expect(ran.fake.changes).toEqual([{ route: 'PUT /api/users/eve', body: { password: 'pass word', tags: '' } }]);
    expect(ran.lines.join() + ran.errors).not.toContain('pass word');
  });
  test('that is blank is refused, and nothing is sent', async () => {
    const ran = await run(['add_user', 'eve'], {}, { input: '\n' });
    expect(ran.code).toBe(ExitCode.BadInput);
    expect(ran.fake.changes).toEqual([]);
  });
  test('changes without the tags, and tags without the password', async () => {
    const changed = await run(['change_password', 'eve', 'new'], { 'GET /api/users/eve': eve });
    expect(changed.fake.changes).toEqual([{ route: 'PUT /api/users/eve', body: { password: 'new', tags: 'management' } }]);
    const tagged = await run(['set_user_tags', 'eve', 'a,b', 'c'], { 'GET /api/users/eve': eve });
    expect(tagged.fake.changes).toEqual([
      { route: 'PUT /api/users/eve', body: { password_hash: 'HASH', hashing_algorithm: 'x', tags: 'a,b,c' } },
    ]);
  });
  test('is typed without an echo, backspace takes a character back, and the terminal is as before', async () => {
    const modes: boolean[] = [];
    const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (isRaw: boolean) => void modes.push(isRaw) });
    let shown = '';
    const errors = new PassThrough().on('data', (chunk) => (shown += String(chunk)));
    const typed = readPassword(
      { input, errors, output: new PassThrough(), environment: {}, onInterrupt: () => () => undefined, exit: () => undefined },
      undefined,
    );
    input.write('secrets');
    input.write('\x7f!\r');
    expect(await typed).toBe('secret!');
    expect(modes).toEqual([true, false]);
    expect(shown).toBe('Password: \n');
  });
  test('prompt ends with Ctrl-C', async () => {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const errors = new PassThrough();
    const typed = readPassword(
      { input, errors, output: new PassThrough(), environment: {}, onInterrupt: () => () => undefined, exit: () => undefined },
      undefined,
    );
    input.write('x\x03');
    await expect(typed).rejects.toThrow(CliError);
  });
  test('hashes as RabbitMQ does it: salt, then SHA-256 of salt and password', () => {
    const hash = rabbitHash('test12', 'sha256', Buffer.from('908DC60A', 'hex')).toString('base64');
    expect(hash).toBe('kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'); // RabbitMQ, Passwords
  });
  test('that is wrong fails authenticate_user, and one who may not use the API comes in', async () => {
    const as =
      (reason: string): Answer =>
      ({ headers }, response) => {
        const isEve = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64')
          .toString()
          .startsWith('eve:');
        if (isEve) reply(response, 401, { error: 'not_authorised', reason });
        else reply(response, 200, { name: 'tester' });
      };
    expect((await run(['authenticate_user', 'eve', 'x'], { 'GET /api/whoami': as('Login failed') })).code).toBe(ExitCode.Failure);
    expect((await run(['authenticate_user', 'eve', 'x'], { 'GET /api/whoami': as('Not management user') })).code).toBe(ExitCode.Ok);
  });
});

test('clearing one of several topic permissions is refused, for the API would open the others', async () => {
  const entries = [{ exchange: 'a' }, { exchange: 'b' }];
  const ran = await run(['clear_topic_permissions', 'eve', 'a'], { 'GET /api/topic-permissions/%2F/eve': entries });
  expect(ran.code).toBe(ExitCode.Failure);
  expect(ran.fake.changes).toEqual([]);
});

test('close_all_connections goes on past a connection that has ended by itself', async () => {
  const gone: Answer = (_, response) => reply(response, 404, { error: 'Object Not Found', reason: 'Not Found' });
  const ran = await run(['close_all_connections', 'why'], {
    'GET /api/vhosts/%2F/connections': [{ name: 'a' }, { name: 'b' }],
    'DELETE /api/connections/a': gone,
  });
  expect(ran).toMatchObject({ code: ExitCode.Ok, lines: ['1 connection closed'] });
  expect(ran.fake.asked.at(-1)?.headers['x-reason']).toBe('why');
});

describe('a plan', () => {
  const user = (hash: string): object => ({
    name: 'eve',
    password_hash: hash,
    hashing_algorithm: 'rabbit_password_hashing_sha256',
    tags: [],
  });
  const hash = (salt: string): string => rabbitHash('x', 'sha256', Buffer.from(salt)).toString('base64');
  const onRabbitMq = {
    'GET /api/overview': { product_name: 'RabbitMQ' },
    'GET /api/definitions': { vhosts: [{ name: '/' }], users: [user(hash('aaaa')), { ...user(hash('cccc')), name: 'tester' }] },
  };
  const planned = (...steps: object[]): Readonly<Record<string, Answer>> => ({
    'GET /api/overview': { product_name: 'Leveret' },
    'POST /api/definitions': ({ query }, response) =>
      query.get('plan') === 'true' ? reply(response, 200, { steps, unknown: ['shovels'] }) : void response.writeHead(204).end(),
  });

  test('tells that a password changes, and not from what to what', async () => {
    for (const more of [[], ['--json']]) {
      const ran = await run(['plan', '-', ...more], onRabbitMq, { input: JSON.stringify({ users: [user(hash('bbbb'))] }) });
      const text = ran.lines.join('\n');
      expect(text).toContain("user 'eve'");
      expect(text).toContain('changed');
      for (const salt of ['aaaa', 'bbbb']) expect(text).not.toContain(hash(salt));
      expect(ran.fake.changes).toEqual([]); // and RabbitMQ was not asked to plan: it would import
    }
  });
  test('shows a parameter without what in it is secret', async () => {
    const shovel = (uri: string): object => ({
      component: 'shovel',
      vhost: '/',
      name: 's',
      value: { 'src-uri': uri, 'src-queue': uri.slice(-1) },
    });
    const step = { kind: 'parameter', key: ['/', 'shovel', 's'], name: "parameter 's' of shovel in vhost '/'" };
    const answers = planned({ act: 'change', ...step, from: shovel('amqp://u:planted@a'), to: shovel('amqp://u:planted@b') });
    for (const more of [[], ['--json']]) {
      const ran = await run(['plan', '-', ...more], answers, { input: '{}' });
      expect(ran.lines.join()).not.toContain('planted');
      expect(ran.errors).toContain("section 'shovels'");
    }
  });
  test('does not delete the user who asks', async () => {
    const ran = await run(['apply', '-', '--prune'], onRabbitMq, { input: JSON.stringify({ users: [user(hash('aaaa'))] }) });
    expect(ran.code).toBe(ExitCode.Failure);
    expect(ran.errors).toContain("user 'tester' may not be deleted: it is who asks");
    expect(ran.fake.changes).toEqual([]);
  });
  test('is made and applied by a Leveret, in one request each', async () => {
    const file = { queues: [{ name: 'q', vhost: '/', durable: true, auto_delete: false, arguments: {} }] };
    const input = JSON.stringify(file);
    const create = { act: 'create', kind: 'queue', key: ['/', 'q'], name: "queue 'q' in vhost '/'", to: {} };
    const gone = { act: 'delete', kind: 'queue', key: ['/', 'r'], name: "queue 'r' in vhost '/'", from: {} };
    const ran = await run(['apply', '-', '--prune'], planned(create, gone), { input });
    expect(ran).toMatchObject({
      code: ExitCode.Ok,
      lines: [`+ ${create.name}`, `- ${gone.name}`, '1 to create, 0 to change, 1 to delete', 'done'],
    });
    const posts = ran.fake.asked.filter(({ route }) => route.startsWith('POST'));
    expect(posts.map(({ query, body }) => [String(query), body])).toEqual([
      ['plan=true&prune=true', file],
      ['prune=true', file],
    ]);
    const conflict = { ...gone, act: 'conflict', why: 'it is protected', hint: 'unprotect it' };
    const refused = await run(['apply', '-', '--prune'], planned(create, conflict), { input });
    expect(refused.errors).toContain('it is protected\nunprotect it; nothing was changed');
    expect(refused.fake.changes).toHaveLength(1); // the plan
  });
  test('of a file that is none quotes nothing of it', async () => {
    const ran = await run(['plan', '-'], onRabbitMq, { input: '{"password_hash": "s3cr' });
    expect(ran.code).toBe(ExitCode.BadInput);
    expect(ran.errors).not.toContain('s3cr');
  });
});

test('explain tells each binding with its reason, and ends with 1 when nothing is routed', async () => {
  const answer = {
    routed: false,
    exchanges: [{ exchange: 'orders', type: 'topic', from: 'publish' }],
    bindings: [{ exchange: 'orders', destinationType: 'queue', destination: 'q', isMatch: false, why: 'no word matches' }],
    queues: [],
  };
  const ran = await run(['explain', 'orders', 'a.b', '-H', 'n=1'], { 'POST /api/exchanges/%2F/orders/explain': answer });
  expect(ran.code).toBe(ExitCode.Failure);
  expect(ran.lines).toEqual([
    "exchange 'orders' (topic)",
    "  - queue 'q': no word matches",
    'no queue would get it: it is returned if mandatory, else dropped',
  ]);
  expect(ran.fake.changes[0]?.body).toEqual({ routing_key: 'a.b', properties: { headers: { n: 1 } }, payload_bytes: 0 });
});
