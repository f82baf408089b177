// What a publish would do, told without doing it: the queues are the router's for any topology, and every binding on the way has its reason.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explain } from '../../../server/broker/explanation.ts';
import { Route } from '../../../server/broker/router.ts';
import type { Vhost } from '../../../server/broker/vhost.ts';
import type { Properties } from '../../../shared/amqp/properties.ts';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { Content, encodeContent } from '../../../shared/content.ts';
import { Engine, type Peer } from '../../support/engine.ts';

const declare = (peer: Peer, exchange: string, type: string, args: FieldTable = new Map()): void =>
  peer.session.declareExchange({ exchange, type, durable: true, autoDelete: false, internal: false, passive: false, arguments: args });

function vhostOf(engine: Engine): Vhost {
  const vhost = engine.broker.vhost('/');
  if (vhost === undefined) throw new Error('/ is there');
  return vhost;
}

const ask = (engine: Engine, exchange: string, key: string, properties: Properties = {}, bodyBytes = 0) =>
  explain(vhostOf(engine), { exchange, key, properties, bodyBytes }, engine.time.now());

describe('an explanation', () => {
  test('calls the default exchange direct, as everybody else does', () => {
    const engine = new Engine();
    engine.declare(engine.connect(), 'a');
    const { attempts, visits } = ask(engine, '', 'a');
    expect([visits[0]?.type, attempts[0]?.type]).toEqual(['direct', 'direct']);
  });

  test('has every binding tried, matched or not, and why', () => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'a');
    engine.declare(peer, 'b');
    declare(peer, 't', 'topic');
    declare(peer, 'h', 'headers');
    peer.session.bindQueue('a', 't', 'audit.#', new Map());
    peer.session.bindQueue('b', 't', 'sales.*', new Map());
    peer.session.bindExchange('h', 't', '#', new Map());
    peer.session.bindQueue('b', 'h', '', new Map([['kind', 'x']]));
    const { attempts, queues, visits } = ask(engine, 't', 'audit.all', { headers: new Map([['kind', 'y']]) });
    expect(attempts.map(({ exchange, destination, isMatch, why }) => [exchange, destination, isMatch, why])).toEqual([
      ['t', 'a', true, "'audit.all' matches the pattern 'audit.#'"],
      ['t', 'b', false, "'audit.all' is not the pattern 'sales.*'"],
      ['t', 'h', true, "'audit.all' matches the pattern '#'"],
      ['h', 'b', false, 'x-match all of kind="x"; the message has kind'],
    ]);
    expect(queues.map(({ queue }) => queue)).toEqual(['a']);
    expect(visits.map(({ exchange, from }) => `${exchange} ${from}`)).toEqual(['t publish', 'h binding']);
  });

  test('follows alternate exchanges, and says when one is missing or not needed', () => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'q');
    declare(peer, 'x', 'direct', new Map([['alternate-exchange', 'y']]));
    declare(peer, 'y', 'direct', new Map([['alternate-exchange', 'none']]));
    peer.session.bindQueue('q', 'x', 'k', new Map());
    expect(ask(engine, 'x', 'k').visits.map(({ alternate }) => alternate?.outcome)).toEqual(['not needed']);
    const lost = ask(engine, 'x', 'other');
    expect(lost.visits.map(({ alternate }) => alternate?.outcome)).toEqual(['followed', 'missing']);
    expect(lost.isUnroutable).toBe(true);
  });

  test('says what each queue would do, and changes nothing', () => {
    const engine = new Engine();
    const peer = engine.connect();
    const full: [string, number | string][] = [['x-max-length', 1]];
    engine.declare(peer, 'room', [['x-message-ttl', 50]]);
    engine.declare(peer, 'drops', [...full]);
    engine.declare(peer, 'refuses', [...full, ['x-overflow', 'reject-publish']]);
    engine.declare(peer, 'buries', [...full, ['x-overflow', 'reject-publish-dlx'], ['x-dead-letter-exchange', 'amq.fanout']]);
    engine.declare(peer, 'waits', [...full, ['x-overflow', 'block']]);
    engine.declare(peer, 'small', [['x-max-message-bytes', 2]]);
    const names = ['room', 'drops', 'refuses', 'buries', 'waits', 'small'];
    for (const name of names) engine.publish(peer, '', name, '1');
    engine.time.settle();
    const before = [...vhostOf(engine).queues.values()].map(({ counts, readyCount }) => ({ ...counts, readyCount }));
    const { queues } = ask(engine, '', 'room', { headers: new Map([['CC', names.slice(1)]]), expiration: '20' }, 3);
    expect(queues.map(({ queue, outcome, ttlMs }) => [queue, outcome, ttlMs])).toEqual([
      ['room', 'enqueue', 20],
      ['drops', 'drop-head', 20],
      ['refuses', 'refuse', 20],
      ['buries', 'dead-letter', 20],
      ['waits', 'wait', 20],
      ['small', 'refuse', 20],
    ]);
    expect([...vhostOf(engine).queues.values()].map(({ counts, readyCount }) => ({ ...counts, readyCount }))).toEqual(before);
  });

  test('has bounds, whatever is bound and asked, and says what it leaves out', () => {
    const engine = new Engine();
    const peer = engine.connect();
    engine.declare(peer, 'q');
    declare(peer, 't', 'topic', new Map([['alternate-exchange', 'amq.fanout']]));
    const bind = (from: number, to: number): void => {
      for (let n = from; n < to; n++) peer.session.bindQueue('q', 't', `b${n}`, new Map());
    };
    bind(0, 1_100);
    const keys = (count: number) => ({
      headers: new Map([['CC', Array.from({ length: count }, (_, n) => `${n}`.padEnd(20_000 / count, 'k'))]]),
    });
    const shown = ask(engine, 't', 'x');
    expect([shown.attempts.length, shown.isUnroutable, shown.leftOut]).toEqual([
      1_000,
      true,
      ['100 bindings were tried and are not shown'],
    ]);
    expect(ask(engine, 't', 'b1099').isUnroutable).toBe(false);
    expect(ask(engine, 't', 'x', keys(100)).attempts.at(-1)?.why).toMatch(
      /^'x', '0k{63}\.\.\.', '1k{63}\.\.\.' and 98 more is not the pattern 'b\d+'$/,
    );
    const many = ask(engine, 't', 'x', keys(101));
    expect([many.isUnroutable, many.leftOut[0]]).toEqual([undefined, '1 keys in CC and BCC were not tried: 100 are']);
    bind(1_100, 10_100);
    const { isUnroutable, leftOut, visits } = ask(engine, 't', 'b10099');
    expect([isUnroutable, leftOut]).toEqual([
      undefined,
      [
        'no more bindings were tried after 10000: queues and exchanges behind others are missing',
        '9000 bindings were tried and are not shown',
      ],
    ]);
    expect(visits.map(({ exchange, alternate }) => [exchange, alternate])).toEqual([['t', undefined]]);
    expect(JSON.stringify(ask(engine, 't', 'x', keys(6_400))).length).toBeLessThan(1_000_000);
  });

  test('is refused for what the publish itself would be refused for', () => {
    expect(() => ask(new Engine(), 'none', 'k')).toThrow("no exchange 'none' in vhost '/'");
    expect(() => ask(new Engine(), 'amq.rabbitmq.trace', 'k')).toThrow('internal');
    expect(() => ask(new Engine(), '', 'k', { headers: new Map([['CC', 1]]) })).toThrow('CC');
  });
});

const TYPES = ['direct', 'fanout', 'topic', 'headers'];
const NAMES = ['e0', 'e1', 'e2', 'e3', 'e4'];
const key = fc.constantFrom('a', 'b', 'a.b', '#', '*.b', 'q0', 'q1');
const table = fc.constantFrom<[string, string | number][]>(
  [],
  [['h', 1]],
  [
    ['x-match', 'any'],
    ['h', 1],
    ['g', 2],
  ],
  [['x-match', 'any']],
);
const topologies = fc.record({
  exchanges: fc.array(fc.tuple(fc.constantFrom(...TYPES), fc.option(fc.constantFrom(...NAMES, 'gone'))), { minLength: 5, maxLength: 5 }),
  bindings: fc.array(fc.tuple(fc.nat(4), fc.boolean(), fc.nat(4), key, table), { maxLength: 14 }),
  publishes: fc.array(fc.tuple(fc.constantFrom(...NAMES, ''), key, table, fc.array(key, { maxLength: 2 })), { minLength: 1, maxLength: 6 }),
});

test('the queues of an explanation are those of the route, for any topology', () => {
  fc.assert(
    fc.property(topologies, ({ exchanges, bindings, publishes }) => {
      const engine = new Engine();
      const peer = engine.connect();
      exchanges.forEach(([type, alternate], i) =>
        declare(peer, `e${i}`, type, alternate === null ? new Map() : new Map([['alternate-exchange', alternate]])),
      );
      for (let i = 0; i < 5; i++) engine.declare(peer, `q${i}`);
      for (const [from, toQueue, to, bindingKey, args] of bindings)
        if (toQueue) peer.session.bindQueue(`q${to}`, `e${from}`, bindingKey, new Map(args));
        else peer.session.bindExchange(`e${to}`, `e${from}`, bindingKey, new Map(args));
      for (const [exchange, routingKey, headers, extra] of publishes) {
        const properties = {
          headers: new Map<string, string | number | string[]>([...headers, ...(extra.length === 0 ? [] : [['CC', extra] as const])]),
        };
        const run = encodeContent(exchange, routingKey, properties, new Uint8Array(0));
        const route = new Route();
        const vhost = vhostOf(engine);
        engine.broker.router.route(vhost, vhost.exchangeToPublish(exchange), routingKey, new Content().read(run, 0, run.length), route);
        const { queues } = ask(engine, exchange, routingKey, properties);
        expect(queues.map(({ queue }) => queue).sort()).toEqual(route.queues.map(({ name }) => name).sort());
      }
    }),
    { numRuns: 300 },
  );
});
