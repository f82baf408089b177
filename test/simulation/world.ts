// One simulated life story of a broker: virtual time, a seeded disk that fails, peers at work; crashes, kills and orderly stops; and at the end a healed
// restart in which every publish must be confirmed and every queue drained.
// Always: (1) a seed decides everything, knobs included; (2) safety first, under any faults; then liveness, with none, within a limit of virtual time;
// (3) what a crash leaves open is uncertain: neither demanded nor forbidden.
// Refuses: faults that damage what was synced (bit flips, lost writes): recovery must refuse those, and tests of the store see to it.

import { crc32 } from 'node:zlib';
import { countersBalance } from '../../scripts/kill-loop/checkers.ts';
import { countersMatch, diskAtBaseline } from '../../scripts/kill-loop/history-checks.ts';
import type { MessageLog, Recovered, RecoverySink } from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import type { Disk } from '../../server/store/file.ts';
import { StoreError } from '../../server/store/store-error.ts';
import { encodeContent } from '../../shared/content.ts';
import { Engine } from '../support/engine.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { noFaults } from '../support/sim-machine.ts';
import { between, coin, type Random, seeded } from '../support/sim-random.ts';
import { drawKnobs, type Knobs } from './knobs.ts';
import { Oracle } from './oracle.ts';
import { SimEnv, type SimProcess } from './sim-env.ts';
import { SimPeer } from './sim-peer.ts';
import { declareAll, QUEUES } from './topology.ts';
import { type Numbering, reopen, Workload } from './workload.ts';

/** A fault of ours that a run is given on purpose. */
export interface Planted {
  readonly name: string;
  /** What the oracle says when it finds it. */
  readonly says: RegExp;
  readonly disk?: (disk: SimDisk, env: SimEnv) => Disk;
  readonly log?: (log: MessageLog) => MessageLog;
  readonly sink?: (sink: RecoverySink) => RecoverySink;
}

export interface Outcome {
  readonly complaints: readonly string[];
  /** Of everything that happened, on the disk too. */
  readonly traceHash: number;
  /** How often each thing happened. */
  readonly tally: ReadonlyMap<string, number>;
  /** For a person who looks for the fault. */
  readonly trace: readonly string[];
}

// Virtual time in which a healed broker must have given out everything, and a log must have closed.
const LIVENESS_MS = 60_000;
// A write and two syncs of a disk that is well, and what may go before them.
const SYNC_MS_MAX = 100;
// Who waits so long for a confirm waits behind other batches, and so does what was settled.
const BEHIND_MS = 30;
const STARTS_MAX = 20;
const PROBES = 3;

interface Life {
  readonly process: SimProcess;
  readonly log: DurableLog;
  readonly engine: Engine;
}

export class World {
  readonly #random: Random;
  readonly #env: SimEnv;
  readonly #knobs: Knobs;
  readonly #oracle = new Oracle();
  readonly #planted: Planted | undefined;
  readonly #numbering: Numbering = { bodies: 0, peers: 0, open: new Map(), settled: [] };
  #disk: SimDisk;
  #life: Life | undefined;
  #lives = 0;
  #hasFaulted = false;
  /** The last life ended in order. */
  #wasStopped = false;
  /** The log has the topology: what is missing from now on is lost. */
  #isDeclared = false;

  constructor(seed: number, planted?: Planted) {
    this.#random = seeded(seed);
    this.#env = new SimEnv(seeded(seed ^ 0x7137));
    this.#planted = planted;
    this.#knobs = drawKnobs(this.#random, planted === undefined);
    this.#disk = new SimDisk({
      random: seeded(seed ^ 0x5eed),
      schedule: (delayMs, task) => void this.#env.after(delayMs, task),
      faults: this.#knobs.faults,
    });
    for (const [queue, deadLetters] of QUEUES) this.#oracle.history.declare(queue, deadLetters);
  }

  async run(): Promise<Outcome> {
    const oracle = this.#oracle;
    try {
      for (let life = 0; life < this.#knobs.lives && oracle.complaints.length === 0; life++) await this.#live();
      if (oracle.complaints.length === 0) {
        await this.#drain();
        oracle.judge(this.#env.nowMs);
      }
    } catch (error) {
      oracle.complain(`thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    return { complaints: oracle.complaints, traceHash: oracle.traceHash, tally: oracle.tally, trace: oracle.trace };
  }

  /** Its disk takes its time, or fails. */
  get #isSlow(): boolean {
    return Object.keys(this.#knobs.faults).length > 0;
  }

  // Lives and deaths.

  async #live(): Promise<void> {
    const { log, engine } = await this.#start();
    const { env: around, oracle, knobs, random, numbering } = this.#parts;
    const workload = new Workload({ env: around, oracle, knobs, random, broker: engine.broker, log, numbering });
    workload.begin();
    const isLong = random() < 0.85; // else it dies while it still recovers, or just after
    let isOver = false;
    this.#env.after(isLong ? between(random, 10, knobs.lifeMsMax) : between(random, 0, 5), () => {
      isOver = true;
    });
    while (!isOver && !this.#hasFaulted) if (!(await this.#env.step())) throw new Error('nothing happens any more');
    workload.stop();
    await this.#end();
  }

  get #parts(): { env: SimEnv; oracle: Oracle; knobs: Knobs; random: Random; numbering: Numbering } {
    return { env: this.#env, oracle: this.#oracle, knobs: this.#knobs, random: this.#random, numbering: this.#numbering };
  }

  async #end(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.3 && !this.#hasFaulted && (await this.#stop())) {
      this.#die('stopped', coin(this.#random) ? 'power' : 'kill');
      return;
    }
    this.#die('killed', dice < 0.65 ? 'power' : 'kill');
  }

  /** False: it was killed on the way. */
  async #stop(): Promise<boolean> {
    const { engine, log, process } = this.#alive;
    let isClosed = false;
    engine.broker.close().then(
      () => {
        isClosed = true;
      },
      (error: unknown) => this.#faulted(process, error instanceof Error ? error : new Error(String(error))),
    );
    this.#oracle.count('segments', log.segmentCount);
    if (this.#random() < 0.2) {
      await this.#env.until(() => isClosed || this.#hasFaulted, between(this.#random, 1, 10));
      if (!isClosed) return false;
    }
    await this.#env.until(() => isClosed || this.#hasFaulted, LIVENESS_MS);
    if (!isClosed && !this.#hasFaulted) this.#oracle.complain('the log never closed');
    return isClosed && !this.#hasFaulted;
  }

  get #alive(): Life {
    if (this.#life === undefined) throw new Error('no broker is alive');
    return this.#life;
  }

  #die(how: 'killed' | 'stopped', disk: 'power' | 'kill'): void {
    this.#wasStopped = how === 'stopped';
    const life = this.#life;
    if (life !== undefined) {
      this.#oracle.count('segments', life.log.segmentCount);
      const { nowMs } = this.#env;
      const lazyMs = this.#isSlow ? Number.NEGATIVE_INFINITY : nowMs - (this.#knobs.sizes.lazySyncMs ?? 0) - SYNC_MS_MAX;
      this.#oracle.died(how, lazyMs, nowMs - BEHIND_MS);
      reopen(this.#numbering);
      life.process.end();
    } else this.#oracle.died(how, Number.NEGATIVE_INFINITY, 0); // it had begun to write when it failed to start
    this.#life = undefined;
    this.#oracle.count(`${how} ${disk}`);
    this.#oracle.note(`${disk} ${crc32(this.#disk.trace.join('\n'))}`);
    this.#disk = disk === 'power' ? this.#disk.powerLoss() : this.#disk.kill();
  }

  /** Tries again where the disk fails at the start: with the power gone, or not. */
  async #start(): Promise<Life> {
    for (let left = STARTS_MAX; ; left--) {
      try {
        return this.#open();
      } catch (error) {
        if (!(error instanceof StoreError) || error.fault !== 'unusable' || left === 0) throw error;
        this.#oracle.note(`no start: ${error.message}`);
        this.#oracle.count('no start');
        if (left === 1) Object.assign(this.#disk.faults, noFaults);
        this.#die('killed', coin(this.#random) ? 'power' : 'kill');
      }
    }
  }

  #open(): Life {
    const number = ++this.#lives;
    const process = this.#env.process();
    const disk = this.#planted?.disk?.(this.#disk, this.#env) ?? this.#disk;
    const log = new DurableLog({
      disk,
      directory: 'data',
      clock: process,
      notices: { notice: () => undefined },
      processes: { self: `1 ${number}`, isAlive: () => false },
      sizes: this.#knobs.sizes,
    });
    const { sink } = this.#planted ?? {};
    const open = log.open.bind(log);
    log.open = (to, listener) => {
      const seen = sink?.(to) ?? to;
      open({ ...bound(seen), recovered: (found) => this.#recovered(found, seen) }, listener);
    };
    this.#hasFaulted = false;
    const engine = new Engine({
      log: this.#planted?.log?.(log) ?? log,
      clock: process,
      turns: process,
      onFault: (cause) => this.#faulted(process, cause),
    });
    this.#life = { process, log, engine };
    this.#oracle.note(`start ${number}`);
    this.#oracle.count('start');
    this.#declare(engine, log);
    return this.#life;
  }

  /** An orderly stop is known for one, unless its disk had no room to say so. */
  #recovered(found: Recovered, sink: RecoverySink): void {
    if (this.#wasStopped && !found.isClean) {
      if (this.#knobs.faults.capacityBytes === undefined) this.#oracle.complain('an orderly stop is taken for a crash');
      this.#oracle.history.tellAll({ kind: 'unmarked' });
      this.#oracle.count('unmarked');
    }
    sink.recovered(found);
  }

  #faulted(process: SimProcess, cause: Error): void {
    if (process.isOver) return;
    this.#hasFaulted = true;
    this.#oracle.note(`fault ${cause.message}`);
    this.#oracle.count('fault');
    if (!/^EIO|^ENOSPC|the disk is full/.test(cause.message)) this.#oracle.complain(`fault: ${cause.message}`);
  }

  #declare(engine: Engine, log: DurableLog): void {
    const { session } = engine.connect();
    if (!this.#isDeclared) {
      declareAll(session, this.#knobs);
      const lsn = log.lastLsn;
      engine.broker.whenDurable(lsn, () => {
        this.#isDeclared = true;
      });
    } else
      for (const queue of QUEUES.keys())
        if (queue !== 'temp' && engine.broker.vhost('/')?.queues.has(queue) !== true) this.#oracle.complain(`queue ${queue} is lost`);
    session.close();
  }

  // Liveness.

  async #drain(): Promise<void> {
    Object.assign(this.#disk.faults, noFaults);
    const { engine } = await this.#start();
    const { env, oracle } = this.#parts;
    const peer = new SimPeer(engine.broker, 'drain', false, {
      env,
      oracle,
      received: ({ session }, { queue, body, consumer, tag }) =>
        void env.after(1, () => {
          if (this.#hasFaulted) return;
          oracle.tell(queue, { kind: 'acked', body, consumer });
          session.ack(tag, false);
        }),
    });
    for (let n = 0; n < PROBES; n++) this.#probe(peer, `probe ${n}`);
    oracle.history.tellAll({ kind: 'drain' });
    const prefetch = coin(this.#random) ? 0 : 7;
    for (const queue of QUEUES.keys()) if (engine.broker.vhost('/')?.queues.has(queue)) peer.consume(queue, prefetch);
    const isDone = (): boolean => peer.unconfirmed.size === 0 && isEmpty(engine);
    if (!(await env.until(() => this.#hasFaulted || isDone(), LIVENESS_MS))) oracle.complain('not confirmed and drained');
    if (this.#hasFaulted) oracle.complain('a fault of a disk that is healed');
    for (const sample of engine.broker.sample(() => true).queues) {
      for (const complaint of countersBalance(sample)) oracle.complain(complaint);
      for (const complaint of countersMatch(oracle.history.events(sample.queue), sample.counts))
        oracle.complain(`${sample.queue}: ${complaint}`);
    }
    await this.#lookAtDisk();
    this.#alive.process.end();
  }

  async #lookAtDisk(): Promise<void> {
    const { log } = this.#alive;
    const kept = (): string[] =>
      diskAtBaseline({ segments: log.segmentCount, walFiles: this.#disk.listNow('data/wal').length }, this.#knobs.sizes.walFilesMax ?? 0);
    await this.#env.until(() => kept().length === 0, LIVENESS_MS);
    for (const complaint of kept()) this.#oracle.complain(complaint);
  }

  #probe(peer: SimPeer, body: string): void {
    const sent = { body, queues: ['plain'], isPersistent: true, lsn: 0 };
    const more = { publisher: peer.name, isPersistent: true };
    this.#oracle.attempted(sent, this.#env.nowMs, more, () => ({ deadlineMs: Number.POSITIVE_INFINITY, level: 0 }));
    peer.unconfirmed.set(peer.publisher.nextSeq, sent);
    const run = encodeContent('', 'plain', { deliveryMode: 2 }, Buffer.from(body, 'latin1'));
    peer.session.publish(peer.publisher, run, 0, run.length, false);
  }
}

function bound(sink: RecoverySink): Pick<RecoverySink, 'definition' | 'message'> {
  return {
    definition: (definition) => sink.definition(definition),
    message: (queueNumber, stored) => sink.message(queueNumber, stored),
  };
}

function isEmpty(engine: Engine): boolean {
  const { queues } = engine.broker.sample(() => true);
  return queues.every(({ ready, unacked, deadLetterWaiting }) => ready + unacked + deadLetterWaiting === 0);
}
