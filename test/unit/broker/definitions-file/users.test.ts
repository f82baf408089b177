// Users of a definitions file: hashes that a login has made anew, and who must be able to come in when it is done.
import { describe, expect, test } from 'vitest';
import { exportDefinitions, planDefinitions } from '../../../../server/broker/definitions-file/apply.ts';
import type { PlanOptions } from '../../../../server/broker/definitions-file/plan.ts';
import { SCRYPT } from '../../../../server/broker/password-hash.ts';
import { Authenticator } from '../../../../server/identity/authenticator.ts';
import { Passwords } from '../../../../server/identity/passwords.ts';
import { AmqpError } from '../../../../shared/error.ts';
import type { JsonObject } from '../../../../shared/protocol/control.ts';
import { HASH, load, PRODUCT } from '../../../support/definitions.ts';
import { Engine } from '../../../support/engine.ts';
import { RememberingLog } from '../../../support/remembering-log.ts';

// RabbitMQ, Passwords: test12, the example of its documentation
const TEST12 = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR';
const here = { name: 'here', address: '127.0.0.1', isLoopback: true };

describe('a hash of RabbitMQ that a login has made one of ours', () => {
  const file = (more: JsonObject = {}): JsonObject => ({ users: [{ name: 'ops', password_hash: TEST12, tags: ['monitoring'], ...more }] });

  async function loggedIn(engine: Engine): Promise<void> {
    const authenticator = new Authenticator(engine.broker.users, new Passwords(4), engine.time);
    const outcome = await new Promise((resolve) => authenticator.check('ops', 'test12', here, resolve));
    expect(outcome).not.toBeInstanceOf(AmqpError);
    await expect.poll(() => engine.broker.users.record('ops')?.hashingAlgorithm, { timeout: 30_000 }).toBe(SCRYPT);
    engine.time.settle();
  }

  test('is what the same file asks for, also after a restart, and is left alone', async () => {
    const log = new RememberingLog();
    const engine = new Engine({ log });
    await load(engine, file());
    await loggedIn(engine);
    const record = engine.broker.users.record('ops');
    expect(await load(engine, file())).toEqual([]);
    const again = new Engine({ log });
    expect(again.broker.users.record('ops')).toEqual(record);
    expect(await load(again, file())).toEqual([]);
    expect(await load(again, file({ tags: ['management'] }))).toEqual(["change user 'ops'"]);
    expect(again.broker.users.record('ops')).toEqual({ ...record, tags: ['management'] });
    expect(await load(again, file({ tags: ['management'] }))).toEqual([]);
  });

  test('goes where the file has another password, and so does what was known of the old one', async () => {
    const engine = new Engine();
    await load(engine, file());
    await loggedIn(engine);
    const other = file({ password_hash: HASH });
    expect(planDefinitions(engine.broker, other).steps).toMatchObject([{ act: 'change', to: { password: 'changed' } }]);
    await load(engine, other);
    expect(engine.broker.users.record('ops')).toEqual({
      passwordHash: HASH,
      hashingAlgorithm: 'rabbit_password_hashing_sha256',
      tags: ['monitoring'],
    });
    expect(planDefinitions(engine.broker, file()).steps).toMatchObject([{ act: 'change', to: { password: 'changed' } }]);
  });

  test('is exported as it is, without a word of where it came from, and that file changes nothing either', async () => {
    const engine = new Engine();
    await load(engine, file());
    await loggedIn(engine);
    const tag = engine.broker.users.record('ops')?.importedTag ?? '';
    expect(tag).toMatch(/^[0-9a-f]{8}$/);
    const exported = exportDefinitions(engine.broker, PRODUCT);
    const plans = [exported, file({ tags: [] }), file({ password_hash: HASH })].map((each) => planDefinitions(engine.broker, each).steps);
    expect(plans[0]).toEqual([]);
    for (const told of [exported, plans]) expect(JSON.stringify(told)).not.toMatch(new RegExp(`${tag}|importedTag`));
    expect(await load(engine, exported)).toEqual([]);
    expect(engine.broker.users.record('ops')?.importedTag).toBe(tag);
  });
});

describe('somebody who may manage the broker comes in after an import', () => {
  const administrator = (name: string, password_hash: string, more: JsonObject = {}): JsonObject => ({
    name,
    password_hash,
    tags: ['administrator'],
    ...more,
  });
  const all = { configure: '.*', write: '.*', read: '.*' };

  async function refused(there: JsonObject[], users: JsonObject[], options: PlanOptions, user: string): Promise<void> {
    const engine = new Engine();
    await load(engine, { users: there });
    const before = exportDefinitions(engine.broker, PRODUCT);
    await expect(load(engine, { vhosts: [{ name: 'new' }, { name: '/' }], users }, options)).rejects.toThrow(
      `user '${user}' must stay an administrator with a password: no other would be left, and nobody could manage the broker`,
    );
    expect(exportDefinitions(engine.broker, PRODUCT)).toEqual(before);
  }

  test.each<[string, JsonObject[], JsonObject[], PlanOptions]>([
    ['takes the password of the only one', [], [administrator('guest', '')], { prune: true, caller: 'guest' }],
    ['takes it without pruning', [], [administrator('guest', '')], { caller: 'guest' }],
    ['takes it at the start', [], [administrator('guest', '')], {}],
    ['gives it a hash that no password fits', [], [administrator('guest', 'AAAA')], { caller: 'guest' }],
    [
      'gives it a hash of another algorithm',
      [],
      [administrator('guest', HASH, { hashing_algorithm: 'rabbit_password_hashing_sha512' })],
      { caller: 'guest' },
    ],
    ['leaves others without a password beside it', [administrator('cert', '')], [administrator('guest', '')], { caller: 'guest' }],
    ['makes others without a password', [], [administrator('guest', HASH, { tags: [] }), administrator('new', '')], { caller: 'guest' }],
    ['deletes it beside one without a password', [administrator('cert', '')], [administrator('cert', '')], { prune: true }],
  ])('an import that %s is refused whole', async (_what, others, users, options) => {
    await refused([administrator('guest', HASH), ...others], users, options, 'guest');
  });

  test('one that keeps a password, of whomever, or of who asks, is taken', async () => {
    const engine = new Engine();
    await load(engine, { users: [administrator('guest', HASH), administrator('cert', '')] });
    // another one has a password
    await load(engine, { users: [administrator('guest', ''), administrator('new', TEST12)] }, { caller: 'guest' });
    // who asks came in with a certificate, and keeps it
    await load(engine, { users: [administrator('cert', ''), administrator('new', '')] }, { prune: true, caller: 'cert' });
    expect(engine.broker.users.names()).toEqual(['cert', 'new']);
    // nobody had a password before: how they come in is their own
    await load(engine, { users: [administrator('cert', '', { tags: ['administrator', 'monitoring'] })] });
    expect(engine.broker.users.record('cert')?.tags).toEqual(['administrator', 'monitoring']);
    await expect(load(engine, { users: [] }, { prune: true })).rejects.toThrow('must stay an administrator with a password');
  });

  test('one whose hash a login has replaced has a password', async () => {
    const engine = new Engine();
    const hash = await new Passwords(4).hash('x');
    engine.broker.users.put('ops', { ...hash, tags: ['administrator'] });
    await load(engine, { users: [administrator('guest', HASH)] });
    await load(engine, { users: [administrator('guest', '')] }, { caller: 'guest' });
    engine.broker.users.setPermissions('ops', '/', all);
    await expect(load(engine, { users: [administrator('ops', '')] })).rejects.toThrow(
      "user 'ops' must stay an administrator with a password",
    );
  });
});
