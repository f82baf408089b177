// What a plan shows of a value: the secrets in it are stars, everything else is as it was.
import { expect, test } from 'vitest';
import { masked } from '../../../../server/broker/definitions-file/masking.ts';

test.each<readonly [string, string]>([
  ['amqp://me:pw@h:5672/%2F', 'amqp://me:***@h:5672/%2F'],
  ['amqp://me:pa/ss@w?rd@h/v', 'amqp://me:***@h/v'],
  ['amqp://:pw@h', 'amqp://:***@h'],
  ['amqp://me:1234@h', 'amqp://me:***@h'],
  ['see amqp://me:pw@h and amqps://you:pw@i', 'see amqp://me:***@h and amqps://you:***@i'],
  ['amqp://h:5672,amqp://me:pw@i:5672', 'amqp://h:5672,amqp://me:***@i:5672'],
  ['amqp://h?auth=plain&password=pw&heartbeat=5', 'amqp://h?auth=plain&password=***&heartbeat=5'],
  ...['amqp://h:5672/%2F', 'amqp://me@h', 'amqp://me:@h', 'me@h: x', '^orders\\.', ''].map((same) => [same, same] as const),
])('the text %s is shown as %s', (text, shown) => {
  expect(masked({ uri: text, list: [text], deep: { uri: text } })).toEqual({ uri: shown, list: [shown], deep: { uri: shown } });
});

test.each([
  'password',
  'default_pass',
  'passwordHash',
  'client_secret',
  'accessToken',
  'credentials',
  'private-key',
  'api_key',
  'Passphrase',
])('the field %s is a secret, of whatever type', (name) => {
  for (const value of ['x', 7, ['x'], { a: 'x' }]) expect(masked({ [name]: value })).toEqual({ [name]: '***' });
  expect([masked({ [name]: '' }), masked({ [name]: null })]).toEqual([{ [name]: '' }, { [name]: null }]);
});

test.each(['src-queue', 'pattern', 'passive', 'key', 'max-length'])('the field %s is none', (name) => {
  expect(masked({ [name]: 'x' })).toEqual({ [name]: 'x' });
});

test('a secret that is another than before is told to be, and no more', () => {
  const before = { uri: 'amqp://me:old@h', password: 'old', same: 'amqp://me:pw@h', list: ['amqp://me:old@h'] };
  const after = { uri: 'amqp://me:new@h', password: 'new', same: 'amqp://me:pw@h', list: ['amqp://me:new@h'] };
  expect(masked(after, before)).toEqual({
    uri: 'amqp://me:***@h (changed)',
    password: '*** (changed)',
    same: 'amqp://me:***@h',
    list: ['amqp://me:***@h (changed)'],
  });
});
