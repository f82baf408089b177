// The HTTP API as the verbs use it: addresses, refusals, pages, and that no password leaves by another way than its header.

import { expect, test } from 'vitest';
import { Api, apiAddress, path } from '../../../server/cli/api.ts';
import { CliError, ExitCode } from '../../../server/cli/exit-codes.ts';
import { type Answer, FakeApi, reply } from '../../support/fake-api.ts';

async function given(answers: Readonly<Record<string, Answer>>, timeoutMs = 20_000): Promise<{ fake: FakeApi; api: Api }> {
  const fake = await FakeApi.start(answers);
  return { fake, api: new Api({ address: apiAddress(fake.url), timeoutMs }) };
}
const failure = (promise: Promise<unknown>): Promise<CliError> =>
  promise.then(
    () => Promise.reject(new Error('it was done')),
    (error: unknown) => (error instanceof CliError ? error : Promise.reject(error)),
  );

test.each([
  ['http://host:15672', 'http://host:15672', 'guest'],
  ['https://a:b@host/', 'https://host', 'a'],
  ['ws://a:b@host:1/ws', 'http://host:1', 'a'],
  ['wss://host/broker/ws', 'https://host/broker', 'guest'],
  ['http://host/proxy/api/', 'http://host/proxy', 'guest'],
  ['http://a%40b:c@host', 'http://host', 'a@b'],
])('%s is the API at %s as %s', (url, base, user) => {
  expect(apiAddress(url)).toMatchObject({ base, user });
});

test.each(['localhost:15672', 'amqp://guest:s3cret@host', ''])("'%s' is no address, and what is said of it holds no password", (url) => {
  expect(() => apiAddress(url)).toThrow(CliError);
  try {
    apiAddress(url);
  } catch (error) {
    expect(error).toMatchObject({ exitCode: ExitCode.Usage });
    expect(JSON.stringify(error)).not.toContain('s3cret');
  }
});

test('names are escaped, and those that a URL takes for steps are refused', () => {
  expect(path('queues', '/', 'a/b ü?#%')).toBe('/api/queues/%2F/a%2Fb%20%C3%BC%3F%23%25');
  for (const name of ['', '.', '..']) expect(() => path('queues', '/', name)).toThrow('the HTTP API cannot name');
});

test('user and password go into the header alone', async () => {
  const { fake, api } = await given({ 'GET /api/whoami': {} });
  await api.get(path('whoami'));
  const [asked] = fake.asked;
  expect(asked?.headers.authorization).toBe(`Basic ${Buffer.from('tester:s3cret').toString('base64')}`);
  expect(asked?.headers.host).toBe(fake.host);
});

test('a redirection is not followed, for it would carry the password along', async () => {
  const other = await FakeApi.start({ 'GET /': {} });
  const { api } = await given({
    'GET /api/whoami': (_, response) => void response.writeHead(302, { location: `http://${other.host}/` }).end(),
  });
  expect(await failure(api.get(path('whoami')))).toMatchObject({ exitCode: ExitCode.Failure });
  expect(other.asked).toEqual([]);
});

test('a long list comes page by page, in order', async () => {
  const pages = [['a', 'b'], ['c', 'd'], ['e']];
  const { fake, api } = await given({
    'GET /api/queues': ({ query }, response) =>
      reply(response, 200, { items: pages[Number(query.get('page')) - 1]?.map((name) => ({ name })) ?? [], page_count: pages.length }),
  });
  const names: unknown[] = [];
  for await (const { name } of api.list(path('queues'))) names.push(name);
  expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(fake.asked.map(({ query }) => query.get('page'))).toEqual(['1', '2', '3']);
});

test('a list that the broker does not cut is asked for once', async () => {
  const { fake, api } = await given({ 'GET /api/users': [{ name: 'a' }, { name: 'b' }] });
  const names: unknown[] = [];
  for await (const { name } of api.list(path('users'))) names.push(name);
  expect(names).toEqual(['a', 'b']);
  expect(fake.asked).toHaveLength(1);
});

test.each([
  {
    status: 401,
    body: { error: 'not_authorized', reason: 'Login failed' },
    exitCode: ExitCode.LoginRefused,
    text: "login refused for user 'tester'",
  },
  {
    status: 401,
    body: { error: 'not_authorised', reason: 'Not management user' },
    exitCode: ExitCode.Failure,
    text: 'may not use the HTTP API',
  },
  { status: 401, body: { error: 'not_authorised', reason: 'Access refused' }, exitCode: ExitCode.Failure, text: 'Access refused' },
  { status: 404, body: { error: 'Object Not Found', reason: 'Not Found' }, exitCode: ExitCode.Failure, text: "there is no queue 'q'" },
  {
    status: 400,
    body: { reason: 'Validation failed\n\n{&lt;&lt;"x"&gt;&gt;}\n' },
    exitCode: ExitCode.Failure,
    text: 'Validation failed: {<<"x">>}',
  },
  { status: 400, body: { reason: 'a\u001b[31mb' }, exitCode: ExitCode.Failure, text: 'a\\x1b[31mb' },
  { status: 503, body: {}, exitCode: ExitCode.Failure, text: 'the broker answered 503' },
])('$status $body.reason is told as "$text"', async ({ status, body, exitCode, text }) => {
  const { api } = await given({ 'GET /api/x': (_, response) => reply(response, status, body) });
  const error = await failure(api.get(path('x'), { what: "queue 'q'" }));
  expect(error.exitCode).toBe(exitCode);
  expect(error.message).toContain(text);
  expect(`${error.message} ${error.hint}`).not.toContain('s3cret');
});

test('a hint of the broker is passed on', async () => {
  const { api } = await given({ 'PUT /api/x': (_, response) => reply(response, 400, { reason: 'no', hint: 'do this' }) });
  expect(await failure(api.put(path('x'), {}))).toMatchObject({ message: 'no', hint: 'do this' });
});

test('a refusal names the place in what was sent, and the verb that shows what there is or lets somebody in', async () => {
  const answer =
    (status: number, body: object): Answer =>
    (_, response) =>
      reply(response, status, body);
  const { api } = await given({
    'PUT /api/bad': answer(400, { reason: 'no regular expression', path: '/write' }),
    'GET /api/gone': answer(404, { reason: 'Not Found' }),
    'GET /api/shut': answer(401, { reason: 'User not authorised to access virtual host' }),
  });
  const gone = (what: string): Promise<CliError> => failure(api.get(path('gone'), { what }));
  expect((await failure(api.put(path('bad'), {}))).message).toBe('no regular expression, at /write');
  expect((await gone("queue 'q' in vhost '/'")).hint).toBe('those there are: leveret list_queues');
  expect((await gone("operator policy 'p' in vhost 'a b'")).hint).toBe("those there are: leveret list_operator_policies -p 'a b'");
  expect((await gone("permission of user 'u' in vhost 'v'")).hint).toBe('those there are: leveret list_permissions -p v');
  expect((await gone('something else')).hint).toBeUndefined();
  expect((await failure(api.get(path('shut')))).hint).toContain('leveret set_permissions');
});

test('a page that is no API is told from a thing that is not there', async () => {
  const { api } = await given({
    'GET /api/page': (_, response) => void response.end('<html>'),
    'GET /api/gone': (_, response) => void response.writeHead(404).end('<html>'),
  });
  expect((await failure(api.get(path('page')))).message).toContain('none of the HTTP API');
  expect((await failure(api.get(path('gone')))).message).toContain('no HTTP API is at this address');
});

test('a broker that is not there is unreachable, and one that does not answer a timeout', async () => {
  const { fake, api } = await given({});
  await fake.stop();
  const gone = await failure(api.get(path('whoami')));
  expect(gone).toMatchObject({ exitCode: ExitCode.Unreachable });
  expect(`${gone.message} ${gone.hint}`).not.toContain('s3cret');
  const silent = await given({ 'GET /api/whoami': () => undefined }, 50);
  expect(await failure(silent.api.get(path('whoami')))).toMatchObject({ exitCode: ExitCode.Timeout });
});

test('who asks too often waits and asks again', async () => {
  let refusals = 1;
  const { fake, api } = await given({
    'GET /api/x': (_, response) => (refusals-- > 0 ? reply(response, 429, { reason: 'too often' }) : reply(response, 200, { done: true })),
  });
  expect(await api.get(path('x'))).toEqual({ done: true });
  expect(fake.asked).toHaveLength(2);
});
