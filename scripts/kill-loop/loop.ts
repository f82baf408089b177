// The kill loop: load, SIGKILL at a random moment, restart, and again; every so many rounds all queues are drained and the history is judged.
// Always: (1) the oracle, this process, outlives every broker; (2) a broker that ends or refuses to start by itself is a complaint; (3) each epoch
// begins with empty queues, so what comes out later of an earlier one was acked, and that was synced.
// Refuses: to go on after a complaint: the data directory is left as it is.

import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'leveret-client';
import { Actor, type Totals } from './actor.ts';
import { BrokerProcess } from './broker-process.ts';
import { drain, syncAll } from './drain.ts';
import { History } from './history.ts';
import { checkHistory } from './history-checks.ts';
import { declareTopology, tellTopology } from './topology.ts';

export interface LoopOptions {
  readonly shim: string;
  /** Undefined: a broker that keeps nothing, to show that the oracle sees it. */
  readonly dataDirectory: string | undefined;
  readonly rounds: number;
  /** Rounds between two drains. */
  readonly epochRounds: number;
  readonly random: () => number;
  /** The longest load of a round. */
  readonly loadMsMax: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly progress?: (line: string) => void;
}

export interface LoopResult extends Totals {
  rounds: number;
  kills: number;
  recoveryKills: number;
  pauses: number;
  stops: number;
  drained: number;
  readonly complaints: string[];
}

const CONNECTIONS = 3;
// How long a start may be left alone before it is killed.
const RECOVERY_MS_MAX = 150;
const PAUSE_MS_MAX = 400;

export class KillLoop {
  readonly result: LoopResult = {
    rounds: 0,
    kills: 0,
    recoveryKills: 0,
    pauses: 0,
    stops: 0,
    attempts: 0,
    confirmed: 0,
    delivered: 0,
    redelivered: 0,
    drained: 0,
    complaints: [],
  };
  readonly #options: LoopOptions;
  #history = new History();
  #epoch = 0;
  #isDeclared = false;
  /** The newest. */
  #broker: BrokerProcess | undefined;
  /** How long a broker took to start, the last time. */
  #startMs = RECOVERY_MS_MAX;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** Ends after the last round, or after the first complaints. No broker is left. */
  async run(): Promise<LoopResult> {
    try {
      return await this.#rounds();
    } finally {
      await this.#broker?.kill();
    }
  }

  async #rounds(): Promise<LoopResult> {
    const { rounds, epochRounds, progress } = this.#options;
    const { result } = this;
    tellTopology(this.#history);
    while (result.rounds < rounds && result.complaints.length === 0) {
      await this.#round();
      result.rounds++;
      if (result.rounds % epochRounds !== 0 && result.rounds !== rounds) continue;
      if (result.complaints.length === 0) await this.#judge();
      progress?.(`${result.rounds} rounds: ${result.attempts} attempts, ${result.confirmed} confirmed, ${result.delivered} delivered`);
    }
    return result;
  }

  async #round(): Promise<void> {
    const { random, loadMsMax } = this.#options;
    if (random() < 0.25) await this.#killWhileItStarts();
    const broker = await this.#start();
    if (broker === undefined) return;
    const url = await broker.ready;
    if (!this.#isDeclared) await this.#declare(url);
    const actors = Array.from({ length: CONNECTIONS }, (_, i) => this.#actor(url, i));
    const runs = actors.map((actor) => actor.run());
    await pause(random() * loadMsMax);
    if (random() < 0.1) {
      await Promise.all(actors.map((actor) => actor.finish()));
      await Promise.all(runs);
      await this.#stop(broker);
      return;
    }
    if (random() < 0.15) await this.#pause(broker);
    if (!(await broker.kill())) this.#complain(`the broker ended by itself:\n${broker.printed}`);
    this.result.kills++;
    await Promise.all(runs);
    this.#history.tellAll({ kind: 'killed' });
  }

  /** Restarts, takes everything out and looks at the whole epoch. */
  async #judge(): Promise<void> {
    const { random } = this.#options;
    const broker = await this.#start();
    if (broker === undefined) return;
    const url = await broker.ready;
    const history = this.#history;
    try {
      this.result.drained += await drain({ url, name: `e${this.#epoch}.drain`, history, complain: (text) => this.#complain(text) });
    } catch (error) {
      this.#complain(`draining: ${error instanceof Error ? error.message : String(error)}`);
    }
    for (const complaint of checkHistory(history, { untilMs: Number.NEGATIVE_INFINITY, seesAll: false })) this.#complain(complaint);
    this.#epoch++;
    this.#history = new History();
    tellTopology(this.#history);
    if (random() < 0.5) await this.#stop(broker);
    else await broker.kill();
  }

  async #start(): Promise<BrokerProcess | undefined> {
    const { shim, dataDirectory, environment = {} } = this.#options;
    const startedAt = Date.now();
    const broker = new BrokerProcess({ shim, dataDirectory, environment });
    this.#broker = broker;
    try {
      await broker.ready;
      this.#startMs = Date.now() - startedAt;
      return broker;
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  async #killWhileItStarts(): Promise<void> {
    const { random, shim, dataDirectory, environment = {} } = this.#options;
    for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
      const broker = new BrokerProcess({ shim, dataDirectory, environment });
      // Node itself takes most of a start: half of the kills aim at what comes after it
      await pause(random() < 0.5 ? random() * RECOVERY_MS_MAX : this.#startMs * (0.5 + random() / 2));
      await broker.kill();
      this.result.recoveryKills++;
      const { signal, code } = await broker.ended;
      if (signal !== 'SIGKILL') this.#complain(`the broker ended with ${signal ?? code} while it started:\n${broker.printed}`);
    }
  }

  /** Stopped for a while; then it goes on for a moment, or not. */
  async #pause(broker: BrokerProcess): Promise<void> {
    const { random } = this.#options;
    this.result.pauses++;
    broker.pause();
    await pause(random() * PAUSE_MS_MAX);
    if (random() < 0.5) return;
    broker.resume();
    await pause(random() * PAUSE_MS_MAX);
  }

  async #stop(broker: BrokerProcess): Promise<void> {
    const fault = await broker.stop();
    this.result.stops++;
    if (fault !== undefined) this.#complain(fault);
    this.#history.tellAll({ kind: 'stopped' });
  }

  async #declare(url: string): Promise<void> {
    const mq = await connect(url, { reconnect: false, requestTimeout: '60s' });
    await declareTopology(mq);
    await syncAll(mq);
    await mq.close();
    this.#isDeclared = this.#options.dataDirectory !== undefined;
  }

  #actor(url: string, index: number): Actor {
    return new Actor({
      url,
      name: `e${this.#epoch}.r${this.result.rounds}.${index}`,
      random: this.#options.random,
      history: this.#history,
      totals: this.result,
      complain: (complaint) => this.#complain(complaint),
    });
  }

  #complain(complaint: string): void {
    this.result.complaints.push(complaint);
  }
}
