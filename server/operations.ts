// What a running broker shows to those who operate it: metrics, health, alerts. One sampler feeds all of it.
// Always: (1) it stands still until `start`, and an embedded broker that does not listen has none of it; (2) after `close` nothing of it runs.
// Refuses: routes and sockets (http/server.ts asks `answer`).

import type { Broker } from './broker/broker.ts';
import { type AlertLimits, DeadLetterAlerts } from './broker/dead-letter-alerts.ts';
import { Sampler } from './broker/sampler.ts';
import type { AlertsConfig, Config } from './config.ts';
import { healthAnswer, type Phase } from './http/health.ts';
import { metricsAnswer } from './http/metrics/answer.ts';
import type { MetricsSource } from './http/metrics/source.ts';
import type { Page } from './http/server.ts';
import { memoryAlarmBytes, memoryLimitBytes } from './memory-watch.ts';
import type { Clock, Notices } from './ports.ts';
import { SystemFigures } from './process-figures.ts';
import { Webhook } from './webhook.ts';

export interface OperationsParts {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly notices: Notices;
  readonly product: string;
  readonly version: string;
  readonly node: string;
}

export class Operations {
  phase: Phase = 'starting';
  readonly sampler: Sampler;
  readonly #figures: SystemFigures;
  readonly #source: MetricsSource;
  readonly #alerts: DeadLetterAlerts | undefined;
  readonly #webhook: Webhook | undefined;

  constructor(parts: OperationsParts, config: Config) {
    const { broker, clock, notices, node } = parts;
    this.sampler = new Sampler(broker);
    this.#figures = new SystemFigures({
      dataDir: config.dataDir,
      memoryAlarmBytes: memoryAlarmBytes(memoryLimitBytes(), config.limits.memoryPercent),
      openSockets: () => broker.connections.size,
    });
    this.sampler.listen(() => this.#figures.refresh());
    const limits = alertLimits(config.alerts);
    if (limits !== undefined) {
      const { webhookUrl: url, secret } = config.alerts;
      const webhook = url === undefined ? undefined : new Webhook({ url, clock, notices, ...(secret === undefined ? {} : { secret }) });
      this.#webhook = webhook;
      this.#alerts = new DeadLetterAlerts(broker, this.sampler, limits, (alert) => webhook?.push({ node, ...alert }));
    }
    const told = this.#told(this.#alerts, this.#webhook);
    this.#source = {
      ...parts,
      sampler: this.sampler,
      objectsMax: config.metrics.objectsMax,
      diskLimitBytes: config.limits.diskFreeBytes,
      figures: () => this.#figures.read(),
      ...(told === undefined ? {} : { alerts: told }),
    };
  }

  start(): void {
    this.#figures.start();
    this.sampler.start();
    this.phase = 'running';
  }

  close(): void {
    this.#alerts?.close();
    this.#webhook?.close();
    this.sampler.close();
    this.#figures.close();
  }

  /** What the process holds, and where the memory alarm begins. */
  memory(): { readonly residentBytes: number; readonly alarmBytes: number } {
    const { residentBytes, memoryLimitBytes: alarmBytes } = this.#figures.read();
    return { residentBytes, alarmBytes };
  }

  /** Undefined: the path is neither of metrics nor of health. */
  answer(path: string, query: URLSearchParams): Page | undefined {
    return healthAnswer(path, this.phase) ?? metricsAnswer(this.#source, path, query);
  }

  #told(alerts: DeadLetterAlerts | undefined, webhook: Webhook | undefined): MetricsSource['alerts'] {
    if (alerts === undefined) return undefined;
    return {
      get standing() {
        return alerts.standing;
      },
      get sent() {
        return webhook?.sent ?? 0;
      },
      get failed() {
        return webhook?.failed ?? 0;
      },
      get dropped() {
        return webhook?.dropped ?? 0;
      },
    };
  }
}

/** 0 in the configuration: never. Undefined: there is nothing to alert of. */
function alertLimits({ dlqDepth, dlqOldestMs, dlqGrowthPerMin }: AlertsConfig): AlertLimits | undefined {
  const limits = Object.entries({ depth: dlqDepth, oldestMs: dlqOldestMs, growthPerMin: dlqGrowthPerMin }).filter(([, limit]) => limit > 0);
  return limits.length === 0 ? undefined : Object.fromEntries(limits);
}
