// `leveret bench` over AMQP against RabbitMQ and against Leveret: what was published comes back, figures have their fields, errors say what to do.

import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { Link } from '../../server/cli/amqp-bench/link.ts';
import { PLAN, type Plan } from '../../server/cli/amqp-bench/plan.ts';
import { encodePublish } from '../../server/cli/amqp-bench/publish-ring.ts';
import { run } from '../../server/cli/amqp-bench/run.ts';
import { Sink } from '../../server/cli/amqp-bench/sink.ts';
import * as bench from '../../server/cli/bench.ts';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { createBroker } from '../../server/index.ts';
import { type Ran, runVerb, startVerb } from '../support/cli.ts';

interface Peer {
  readonly url: string;
  /** How many it has. */
  queues(): number;
  stop(): Promise<void>;
}

const PEERS: readonly { readonly name: string; readonly isThere: boolean; readonly start: () => Promise<Peer> }[] = [
  {
    name: 'Leveret',
    isThere: true,
    start: async () => {
      const broker = createBroker();
      const { amqpUrl = '' } = await broker.listen({ port: 0, amqpPort: 0 });
      return { url: amqpUrl, queues: () => broker.stats().queues.length, stop: () => broker.close() };
    },
  },
  {
    name: 'RabbitMQ',
    isThere: hasRabbitMq(),
    start: async () => {
      const rabbitMq = await RabbitMq.start();
      const queues = (): number =>
        rabbitMq
          .control('list_queues', 'name')
          .split('\n')
          .filter((line) => line.includes('leveret')).length;
      return { url: rabbitMq.url, queues, stop: () => rabbitMq.stop() };
    },
  },
];

const declare = { passive: false, durable: false, exclusive: false, autoDelete: false, nowait: false, arguments: new Map() };

describe.each(PEERS)('$name', ({ isThere, start }) => {
  describe.skipIf(!isThere)('is there', () => {
    let peer: Peer;
    let control: Link;

    beforeAll(async () => {
      peer = await start();
      control = await Link.open(parseAddress(peer.url), 'test');
    });
    afterAll(async () => {
      await control?.close();
      await peer?.stop();
    });

    const measure = (words: readonly string[]): Promise<Ran> => runVerb(bench, ['--url', peer.url, ...words]);
    const figures = (ran: Ran): Record<string, unknown> => {
      expect(ran).toMatchObject({ code: ExitCode.Ok, errors: '' });
      expect(ran.lines).toHaveLength(1);
      return JSON.parse(ran.lines[0] ?? '');
    };
    const depth = async (queue: string): Promise<number> => {
      const { fields } = await control.request('queue.declare', { ...declare, queue, passive: true }, 'queue.declare-ok');
      return fields.messageCount;
    };

    test('what is published comes back, and the figures say so', async () => {
      const found = figures(await measure(['-z', '1', '-x', '2', '-y', '2', '-r', '20000', '-j']));
      expect(found['published']).toBeGreaterThan(1_000);
      expect(found['received']).toBe(found['published']);
      expect(found).toMatchObject({ confirmed: 0, nacked: 0, confirmedPerSecond: 0 });
      for (const name of ['publishedPerSecond', 'receivedPerSecond', 'seconds', 'generatorBusy']) expect(found[name]).toBeGreaterThan(0);
      expect(found['deliveryLatencyUs']).toMatchObject({ p50: expect.any(Number), 'p99.9': expect.any(Number), max: expect.any(Number) });
      expect(found).not.toHaveProperty('confirmLatencyUs');
      expect(found['broker']).toMatch(/\w+ \d+\.\d+/);
    });

    test('persistent messages with confirms and manual acks, one by one and in tens', async () => {
      for (const every of ['1', '10']) {
        const found = figures(await measure(['-z', '1', '-p', '-c', '100', '-P', '50', '-a', every, '-s', '1024', '-j']));
        expect(found['received']).toBe(found['published']);
        expect(found['confirmed']).toBe(found['published']);
        expect(found['confirmLatencyUs']).toHaveProperty('p99');
      }
    });

    test('a body above the frame size, and none at all, come back whole', async () => {
      for (const size of ['300000', '0']) {
        const found = figures(await measure(['-C', '20', '-s', size, '-j']));
        expect(found).toMatchObject({ published: 20, received: 20 });
        expect('deliveryLatencyUs' in found).toBe(size !== '0');
      }
    });

    test('a rate is kept', async () => {
      const found = figures(await measure(['-C', '300', '-r', '1000', '-x', '3', '-j']));
      expect(found).toMatchObject({ published: 300, received: 300 });
      expect(Number(found['seconds'])).toBeGreaterThanOrEqual(0.299); // the last is due then
    });

    test('through an exchange of its own, with keys in turn', async () => {
      const found = figures(await measure(['-C', '1000', '-e', 'leveret.bench.ex', '-t', 'topic', '-k', 'a.b', '-k', 'c.d', '-j']));
      expect(found).toMatchObject({ published: 1_000, received: 1_000 });
      const gone = await measure(['-C', '1', '-e', 'leveret.bench.ex']); // it went with its queue
      expect(gone).toMatchObject({ code: ExitCode.Failure });
      expect(gone.errors).toContain("404 NOT_FOUND - no exchange 'leveret.bench.ex' in vhost '/'\ndeclare it with -t");
    });

    test('a named queue keeps what one run publishes for the next to consume', async () => {
      expect(figures(await measure(['-C', '500', '-y', '0', '-c', '50', '-u', 'kept', '-j']))).toMatchObject({
        published: 500,
        confirmed: 500,
      });
      expect(await depth('kept')).toBe(500);
      expect(figures(await measure(['-D', '500', '-x', '0', '-u', 'kept', '-a', '7', '-j']))).toMatchObject({
        published: 0,
        received: 500,
      });
      expect(await depth('kept')).toBe(0); // what was acked late is acked
      await control.request('queue.delete', { queue: 'kept', ifUnused: false, ifEmpty: false, nowait: false }, 'queue.delete-ok');
    });

    test('a queue that drops messages is measured all the same', async () => {
      const found = figures(
        await measure(['-C', '1000', '-y', '0', '--queue-args', 'x-max-length=10,x-overflow=reject-publish', '-c', '10', '-j']),
      );
      expect(found).toMatchObject({ published: 1_000, nacked: expect.any(Number) });
      expect(Number(found['nacked'])).toBeGreaterThan(900);
    });

    test('an interrupt ends the run with the figures until then, and no queue is left', async () => {
      const running = startVerb(bench, ['--url', peer.url, '-z', '0', '-i', '1']);
      await running.shown('published');
      running.interrupt();
      const ran = await running.ended;
      expect(ran).toMatchObject({ code: ExitCode.Ok, errors: '' });
      expect(ran.lines.join('\n')).toMatch(/^1 s {2}published [\d,]+\/s {2}received [\d,]+\/s\n(.*\n)*published +[\d,]+ messages\/s/);
      expect(peer.queues()).toBe(0);
    });

    test('a wrong password, a wrong vhost and a refused queue are told in the words of the broker, with what to do', async () => {
      const login = await runVerb(bench, ['--url', peer.url.replace(/\/\/(.*@)?/, '//guest:wrong@')]);
      expect(login).toMatchObject({ code: ExitCode.LoginRefused });
      expect(login.errors).toContain('ACCESS_REFUSED');
      expect(login.errors).toContain("'guest' was tried");
      const vhost = await measure(['--vhost', 'nowhere']);
      expect(vhost).toMatchObject({ code: ExitCode.Failure });
      expect(vhost.errors).toContain("is there a vhost 'nowhere'?");
      const refused = await measure(['--queue-args', 'x-max-priority=300', '-C', '1']);
      expect(refused).toMatchObject({ code: ExitCode.Failure });
      expect(refused.errors).toContain('406 PRECONDITION_FAILED');
    });
  });
});

describe('a plan against a sink', () => {
  /** Notes how many publishes came at once. */
  class CountingSink extends Sink {
    largest = 0;

    override published(count: number): void {
      this.largest = Math.max(this.largest, count);
      super.published(count);
    }
  }

  const against = async (over: Partial<Plan>) => {
    const plan = { ...PLAN, seconds: 0, routingKeys: ['q'], queues: ['q'], ...over };
    const publish = encodePublish(
      { channel: 1, exchange: '', properties: { deliveryMode: 1 }, bodyBytes: plan.bodyBytes, frameMax: 131_072 },
      'q',
    );
    const sink = new CountingSink({ bodyBytes: plan.bodyBytes, publishBytes: publish.bytes.length, isSource: plan.publishers === 0 });
    try {
      return { ...(await run(parseAddress(`amqp://127.0.0.1:${await sink.listen()}`), plan)), largest: sink.largest };
    } finally {
      await sink.close();
    }
  };

  test('one delivery comes back for each publish, and one confirm', async () => {
    const plan = { publishLimit: 10_001, confirmWindow: 100, publishers: 2, consumers: 3, prefetch: 10, ackEvery: 5 };
    expect(await against(plan)).toMatchObject({ published: 10_001, received: 10_001, confirmed: 10_001, isComplete: true });
  });

  test('no more publishes than allowed are on their way to the consumers', async () => {
    const plan = { publishLimit: 5_000, publishers: 3, consumers: 2, inFlight: 7 };
    const { largest, ...report } = await against(plan);
    expect(report).toMatchObject({ published: 5_000, received: 5_000, isComplete: true });
    expect(largest).toBeLessThanOrEqual(7);
    expect((await against({ ...plan, inFlight: 0 })).largest).toBeGreaterThan(7);
  });

  test('without publishers it delivers as fast as it can', async () => {
    const { published, received } = await against({ publishers: 0, consumeLimit: 10_000 });
    expect(published).toBe(0);
    expect(received).toBeGreaterThanOrEqual(10_000);
  });
});

describe('no AMQP broker', () => {
  const serve = async (answer: string): Promise<{ url: string; close: () => void }> => {
    const server = createServer((socket) => void socket.on('error', () => undefined).end(answer));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return { url: `amqp://ann:secret@127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
  };

  test.each([
    ['HTTP/1.1 400 Bad Request\r\n\r\n', ExitCode.Failure, 'is no AMQP broker: it says HTTP/1.1 400 Bad Request'],
    ['AMQP\u0000\u0001\u0000\u0000', ExitCode.Failure, 'speaks another version of AMQP'],
    ['', ExitCode.LoginRefused, 'closed the connection before the login was through'],
  ])('a server that says %j is told from one', async (answer, code, text) => {
    const { url, close } = await serve(answer);
    const ran = await runVerb(bench, ['--url', url]);
    close();
    expect(ran).toMatchObject({ code, lines: [] });
    expect(ran.errors).toContain(text);
    expect(ran.errors).not.toContain('secret');
  });

  test('a port where nobody listens is told with the address and what to start', async () => {
    const ran = await runVerb(bench, ['--url', 'amqp://ann:secret@127.0.0.1:1']);
    expect(ran).toMatchObject({ code: ExitCode.Unreachable, lines: [] });
    expect(ran.errors).toContain('no broker at amqp://127.0.0.1:1: connect ECONNREFUSED');
    expect(ran.errors).toContain('leveret start --amqp-port');
    expect(ran.errors).not.toContain('secret');
  });
});

test.each([
  [['-P', '10', '-a', '11'], 'with 10 deliveries unacked at most (-P), an ack after 11 (-a) never comes'],
  [['-x', '0', '-y', '0'], 'nothing to do'],
  [['-x', '0'], 'need a queue that has messages'],
  [['-t', 'topic'], 'name it with -e'],
  [['-r', 'fast'], 'write a whole number'],
  [['-P', '70000'], 'write a whole number from 0 to 65535'],
  [['--queue-args', '{'], 'it is no JSON object'],
  [['--queue-args', 'x-max-length'], 'write name=value'],
  [['--vhost'], 'argument missing'],
])('%j is refused before anything connects', async (words, text) => {
  const ran = await runVerb(bench, ['--url', 'amqp://127.0.0.1:1', ...words]);
  expect(ran).toMatchObject({ code: ExitCode.Usage, lines: [] });
  expect(ran.errors).toContain(text);
});

test.each([
  [['-P', '10'], '-P, --prefetch works over AMQP alone'],
  [['-k', 'a'], '-k, --routing-key works over AMQP alone'],
  [['-c', '0'], 'over ws:// -c may not be 0'],
  [['-s', '7'], 'over ws:// -s may not be below 8'],
  [['-x', '0'], 'over ws:// -x may not be 0'],
  [['-z', '0'], 'over ws:// -z may not be 0'],
])('%j is refused over ws://, where it means nothing', async (words, text) => {
  const ran = await runVerb(bench, ['--url', 'ws://127.0.0.1:1/ws', ...words]);
  expect(ran).toMatchObject({ code: ExitCode.Usage, lines: [] });
  expect(ran.errors).toContain(text);
});
