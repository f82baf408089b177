// Logins: whose password is right, how often it may be wrong, and what is remembered.
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { type Account, endsOf, type Remote, TooManyLogins } from '../../../server/broker/login.ts';
import { RABBIT_SHA256, RABBIT_SHA512, SCRYPT } from '../../../server/broker/password-hash.ts';
import { Authenticator } from '../../../server/identity/authenticator.ts';
import { generateUser, installDefaultUser } from '../../../server/identity/default-user.ts';
import { Passwords } from '../../../server/identity/passwords.ts';
import { AmqpError } from '../../../shared/error.ts';
import { Engine } from '../../support/engine.ts';

const here: Remote = { name: 'here', address: '127.0.0.1', isLoopback: true };
const elsewhere: Remote = { name: 'elsewhere', address: '10.0.0.1', isLoopback: false };

class Door {
  readonly engine = new Engine();
  /** Cheap hashes: how many there are matters here, not what one costs. */
  readonly passwords = new Passwords(4);
  readonly authenticator = new Authenticator(this.engine.broker.users, this.passwords, this.engine.time);

  async add(name: string, password: string): Promise<void> {
    this.engine.broker.users.put(name, { ...(await this.passwords.hash(password)), tags: [] });
  }

  /** Rejects with what it is refused with. */
  logIn(user: string, password: string, remote = here): Promise<Account> {
    return new Promise((resolve, reject) => {
      this.authenticator.check(user, password, remote, (outcome) => (outcome instanceof AmqpError ? reject(outcome) : resolve(outcome)));
    });
  }

  /** Whether the answer is there before the call returns. */
  isKnown(user: string, password: string): boolean {
    let isThere = false;
    this.authenticator.check(user, password, here, (outcome) => {
      isThere ||= !(outcome instanceof AmqpError);
    });
    return isThere;
  }
}

test('a user comes in with the right password alone, and what is said about a wrong one names neither', async () => {
  const door = new Door();
  await door.add('ops', 'right-one');
  expect((await door.logIn('ops', 'right-one')).name).toBe('ops');
  for (const [user, password] of [
    ['ops', 'wrong-one'],
    ['ops', ''],
    ['nobody', 'right-one'],
  ] as const)
    await expect(door.logIn(user, password)).rejects.toThrow(/^ACCESS_REFUSED - login was refused: wrong user or password$/);
});

test('a login that was right is known at once for a minute, and not after the password has changed', async () => {
  const door = new Door();
  await door.add('ops', 'first');
  await door.logIn('ops', 'first');
  expect([door.isKnown('ops', 'first'), door.isKnown('ops', 'other')]).toEqual([true, false]);
  door.engine.time.advance(59_999);
  expect(door.isKnown('ops', 'first')).toBe(true);
  door.engine.time.advance(1);
  expect(door.isKnown('ops', 'first')).toBe(false);
  await door.logIn('ops', 'first');
  await door.add('ops', 'second');
  await expect(door.logIn('ops', 'first')).rejects.toThrow('wrong user or password');
  door.engine.broker.users.delete('ops');
  await expect(door.logIn('ops', 'second')).rejects.toThrow('wrong user or password');
});

test('guest comes in from this machine only, with a certificate too', async () => {
  const door = new Door();
  await door.add('guest', 'guest');
  expect((await door.logIn('guest', 'guest')).name).toBe('guest');
  await expect(door.logIn('guest', 'guest', elsewhere)).rejects.toThrow("ACCESS_REFUSED - user 'guest' can only connect via localhost");
  expect(door.authenticator.certified('guest', here).name).toBe('guest');
  expect(() => door.authenticator.certified('guest', elsewhere)).toThrow('can only connect via localhost');
});

test('a certificate stands for the user of its name, and for nobody where there is none', async () => {
  const door = new Door();
  await door.add('ops', 'x');
  expect(door.authenticator.certified('ops', elsewhere).name).toBe('ops');
  expect(() => door.authenticator.certified('orders', elsewhere)).toThrow("the certificate names 'orders', who is no user");
});

test('ten failed logins of a user from one address are the last for a minute; this machine and other addresses are not held up', async () => {
  const door = new Door();
  await door.add('ops', 'right-one');
  await door.logIn('ops', 'right-one');
  door.authenticator.vouch('ops', 'right-one');
  for (let attempt = 0; attempt < 10; attempt++) await expect(door.logIn('ops', 'wrong', elsewhere)).rejects.toThrow('wrong user');
  await expect(door.logIn('ops', 'right-one', elsewhere)).rejects.toThrow('too many failed logins');
  await door.logIn('ops', 'right-one', { ...elsewhere, address: '10.0.0.2' });
  await door.logIn('ops', 'right-one', here);
  door.engine.time.advance(60_000);
  await door.logIn('ops', 'right-one', elsewhere);
});

test('hashes of RabbitMQ fit, and become ours at the first good login', async () => {
  const door = new Door();
  const { users } = door.engine.broker;
  // RabbitMQ, Passwords: the example of its documentation
  const imported = {
    passwordHash: 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR',
    hashingAlgorithm: RABBIT_SHA256,
    tags: ['monitoring'],
  };
  users.put('ops', imported);
  const events: string[] = [];
  door.engine.broker.events.listen(({ kind }) => events.push(kind));
  await expect(door.logIn('ops', 'test13')).rejects.toThrow('wrong user or password');
  expect(users.record('ops')).toEqual(imported);
  await door.logIn('ops', 'test12');
  await expect.poll(() => users.record('ops')?.hashingAlgorithm, { timeout: 30_000 }).toBe(SCRYPT);
  expect(users.record('ops')?.tags).toEqual(['monitoring']);
  expect(events).toEqual([]); // it is the same password
  expect(door.isKnown('ops', 'test12')).toBe(true);
  expect(await door.passwords.fits('test12', users.record('ops') ?? imported)).toBe(true);
});

test('a hash that cannot be read, or that would cost too much, fits nothing', async () => {
  const passwords = new Passwords(4);
  const hash = (bytes: Buffer, hashingAlgorithm = SCRYPT) => ({ passwordHash: bytes.toString('base64'), hashingAlgorithm });
  for (const each of [
    hash(Buffer.alloc(0)),
    hash(Buffer.concat([Buffer.from([30, 8, 1]), Buffer.alloc(48)])),
    hash(Buffer.alloc(51)),
    hash(Buffer.alloc(36), RABBIT_SHA512),
    hash(Buffer.alloc(36), 'rabbit_password_hashing_md5'),
  ])
    expect(await passwords.fits('x', each)).toBe(false);
  await expect(passwords.hash('')).rejects.toThrow('a password cannot be blank');
});

test('a new hash is scrypt with N = 2^15, r = 8, p = 1 and a salt of its own, and fits one password', async () => {
  const passwords = new Passwords();
  const [one, two] = await Promise.all([passwords.hash('right-one'), passwords.hash('right-one')]);
  expect(one.hashingAlgorithm).toBe('leveret_scrypt');
  expect([...Buffer.from(one.passwordHash, 'base64').subarray(0, 3)]).toEqual([15, 8, 1]);
  expect(one.passwordHash.slice(4)).not.toBe(two.passwordHash.slice(4));
  expect([await passwords.fits('right-one', one), await passwords.fits('wrong-one', one)]).toEqual([true, false]);
});

test('two passwords are hashed at a time, and beyond a queue of 256 a login is turned away', async () => {
  const door = new Door();
  const asked = Array.from({ length: 262 }, (_, n) => door.logIn(`nobody ${n}`, 'x').catch((error: Error) => error.message));
  const answers = await Promise.all(asked);
  expect(answers.filter((text) => text === 'ACCESS_REFUSED - login was refused: too many logins at once')).toHaveLength(262 - 258);
  expect(answers.filter((text) => text === 'ACCESS_REFUSED - login was refused: wrong user or password')).toHaveLength(258);
});

test('a flood of logins from one address leaves its places to others, who are served in turn', async () => {
  const door = new Door();
  await door.add('ops', 'right-one');
  const order: string[] = [];
  const flood = Array.from({ length: 400 }, (_, n) =>
    door.logIn(`nobody ${n}`, 'x').catch((error: Error) => void order.push(error instanceof TooManyLogins ? 'turned away' : 'wrong')),
  );
  await door.logIn('ops', 'right-one', elsewhere);
  order.push('ops');
  await Promise.all(flood);
  expect(order.filter((each) => each === 'turned away')).toHaveLength(400 - 257); // and one for ops
  expect(order.filter((each) => each !== 'turned away').indexOf('ops')).toBeLessThan(10);
});

test('a thousand who come at once with the same name and password cost one hash, and each gets its answer', async () => {
  const door = new Door();
  await door.add('ops', 'x');
  const accounts = await Promise.all(Array.from({ length: 1_000 }, () => door.logIn('ops', 'x')));
  expect(new Set(accounts.map(({ name }) => name))).toEqual(new Set(['ops']));
  const refused = await Promise.all(Array.from({ length: 1_000 }, () => door.logIn('ops', 'y').catch((error: Error) => error.message)));
  expect(new Set(refused)).toEqual(new Set(['ACCESS_REFUSED - login was refused: wrong user or password']));
});

test('an imported hash says no as slowly as no user does: each is one of those that wait', async () => {
  const door = new Door();
  door.engine.broker.users.put('ops', {
    passwordHash: 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR',
    hashingAlgorithm: RABBIT_SHA256,
    tags: [],
  });
  const busy = Array.from({ length: 258 }, (_, n) => door.logIn(`nobody ${n}`, 'x').catch(() => undefined));
  await expect(door.logIn('ops', 'wrong')).rejects.toThrow('too many logins at once');
  expect((await door.logIn('ops', 'test12')).name).toBe('ops');
  await Promise.all(busy);
});

test('guesses made at the same time count as they are made; the right password from elsewhere is not held up, nor counted', async () => {
  const door = new Door();
  await door.add('ops', 'right-one');
  const guesses = Array.from({ length: 30 }, (_, n) => door.logIn('ops', `guess ${n}`, elsewhere).catch((error: Error) => error.message));
  const answers = await Promise.all(guesses);
  expect(answers.filter((text) => text === 'ACCESS_REFUSED - login was refused: wrong user or password')).toHaveLength(10);
  expect(answers.filter((text) => text === 'ACCESS_REFUSED - login was refused: too many failed logins')).toHaveLength(20);
  const other = { ...elsewhere, address: '10.0.0.2' };
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 30 }, () => door.logIn('ops', 'right-one', other)));
    door.engine.time.advance(61_000);
  }
});

test('an account that is logged as a whole shows no hash', async () => {
  const door = new Door();
  await door.add('ops', 'right-one');
  const account = await door.logIn('ops', 'right-one');
  expect(inspect(account, { depth: 9, showHidden: true }) + JSON.stringify(account)).not.toContain(
    door.engine.broker.users.record('ops')?.passwordHash,
  );
});

test('where there is nobody, an administrator with a password of its own can be made, once', async () => {
  const door = new Door();
  const { broker } = door.engine;
  const user = await generateUser(broker, door.authenticator, door.passwords, '/');
  if (user === undefined) throw new Error('no user');
  expect(user.name).toBe('admin');
  expect(user.password).toMatch(/^[\w-]{24}$/);
  expect(broker.users.record('admin')).toMatchObject({ hashingAlgorithm: SCRYPT });
  expect(JSON.stringify(broker.users.record('admin'))).not.toContain(user.password);
  expect((await door.logIn('admin', user.password, elsewhere)).tags).toEqual(new Set(['administrator']));
  expect(broker.users.account('admin')?.rights('/')?.may('configure', 'anything')).toBe(true);
  expect(await generateUser(broker, door.authenticator, door.passwords, '/')).toBeUndefined();
  expect((await generateUser(new Engine().broker, door.authenticator, door.passwords, '/'))?.password).not.toBe(user.password);
});

test('a user who comes while the first password is hashed is the first', async () => {
  const door = new Door();
  const { broker } = door.engine;
  const made = generateUser(broker, door.authenticator, door.passwords, '/');
  broker.users.put('ops', { passwordHash: '', hashingAlgorithm: '', tags: [] });
  expect(await made).toBeUndefined();
  expect(broker.users.names()).toEqual(['ops']);
});

test('the first user is made where there is none, comes in at once, and is left alone afterwards', async () => {
  const door = new Door();
  const { broker } = door.engine;
  const guest = { name: 'guest', password: 'guest', vhost: '/', isConfigured: false, isKept: true };
  const installed = installDefaultUser(broker, door.authenticator, door.passwords, guest);
  expect(door.isKnown('guest', 'guest')).toBe(true);
  await installed;
  expect(broker.users.record('guest')).toMatchObject({ hashingAlgorithm: SCRYPT, tags: ['administrator'] });
  expect(broker.users.account('guest')?.rights('/')?.may('configure', 'anything')).toBe(true);
  await door.add('guest', 'changed');
  await installDefaultUser(broker, door.authenticator, door.passwords, guest);
  await door.logIn('guest', 'changed');
  await expect(door.logIn('guest', 'guest')).rejects.toThrow('wrong user or password');
  broker.users.delete('guest');
  await door.add('other', 'x');
  await installDefaultUser(broker, door.authenticator, door.passwords, guest);
  expect(broker.users.names()).toEqual(['other']);
});

test('the first user has the vhost that the configuration names, which is made', async () => {
  const door = new Door();
  const { broker } = door.engine;
  const ops = { name: 'ops', password: 'x', vhost: 'burrow', isConfigured: true, isKept: false };
  await installDefaultUser(broker, door.authenticator, door.passwords, ops);
  expect(broker.vhosts.names()).toEqual(['/', 'burrow']);
  expect(broker.users.account('ops')?.rights('burrow')?.may('configure', 'anything')).toBe(true);
  expect(broker.users.account('ops')?.rights('/')).toBeUndefined();
});

test('a user that the configuration names has the configured password at every start', async () => {
  const door = new Door();
  const { broker } = door.engine;
  await door.add('other', 'x');
  const ops = { name: 'ops', password: 'configured', vhost: '/', isConfigured: true, isKept: true };
  await installDefaultUser(broker, door.authenticator, door.passwords, ops);
  const first = broker.users.record('ops');
  await installDefaultUser(broker, door.authenticator, door.passwords, ops);
  expect(broker.users.record('ops')).toBe(first);
  await installDefaultUser(broker, door.authenticator, door.passwords, { ...ops, password: 'new' });
  await door.logIn('ops', 'new');
  await expect(door.logIn('ops', 'configured')).rejects.toThrow('wrong user or password');
});

test('a first user whose hash was never kept, for a crash, gets it at the next start', async () => {
  const door = new Door();
  const { broker } = door.engine;
  broker.users.put('guest', { passwordHash: '', hashingAlgorithm: '', tags: ['administrator'] });
  await installDefaultUser(broker, door.authenticator, door.passwords, {
    name: 'guest',
    password: 'guest',
    vhost: '/',
    isConfigured: false,
    isKept: true,
  });
  expect(broker.users.record('guest')?.hashingAlgorithm).toBe(SCRYPT);
});

test('operators see a connection under the name that RabbitMQ would give it', () => {
  const ends = { peerPort: 5, localAddress: '10.0.0.9', localPort: 5672, isTls: true };
  expect(endsOf({ ...elsewhere, ends }).name).toBe('10.0.0.1:5 -> 10.0.0.9:5672');
});
