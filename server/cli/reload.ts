// What SIGHUP does to a running broker: the certificates are read again, and the log level is what file and environment say now.
// Always: (1) what changed is logged; (2) after a mistake everything is as it was, and the log says what was wrong; (3) nothing else changes at
// run time: a setting that says something else now is named, with the word that it needs a restart.

import type { TlsOptions } from 'node:tls';
import type { Logger } from 'pino';
import { ConfigError } from '../config.ts';
import type { LoadedConfig } from '../config-sources.ts';
import { SETTINGS } from '../settings.ts';
import { readTlsFiles } from '../tls-files.ts';

export interface ReloadPorts {
  /** Reads all sources anew. Throws ConfigError. */
  load(): LoadedConfig;
  /** New certificates for connections from now on. */
  setTls(tls: TlsOptions): void;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error' | 'level'>;
}

export class Reload {
  readonly #ports: ReloadPorts;
  readonly #started: LoadedConfig;
  #tls: TlsOptions | undefined;

  constructor(started: LoadedConfig, tls: TlsOptions | undefined, ports: ReloadPorts) {
    this.#started = started;
    this.#tls = tls;
    this.#ports = ports;
  }

  run(): void {
    const { log } = this.#ports;
    let loaded: LoadedConfig;
    let tls: TlsOptions | undefined;
    try {
      loaded = this.#ports.load();
      tls = loaded.config.tls && readTlsFiles(loaded.config.tls);
    } catch (error) {
      const mistakes = error instanceof ConfigError ? error.mistakes : [error instanceof Error ? error.message : String(error)];
      log.error({ mistakes }, 'SIGHUP: the configuration is wrong, and nothing has changed');
      return;
    }
    const changed: string[] = [];
    if (this.#tls !== undefined && tls !== undefined && !isSame(this.#tls, tls)) {
      this.#ports.setTls(tls);
      this.#tls = tls;
      changed.push('TLS certificates');
    }
    const { logLevel } = loaded.config;
    if (log.level !== logLevel) {
      changed.push(`log-level from ${log.level} to ${logLevel}`);
      log.level = logLevel;
    }
    const waiting = this.#needsRestart(loaded);
    log.info({ changed }, changed.length === 0 ? 'SIGHUP: nothing to change' : `SIGHUP: changed ${changed.join(', ')}`);
    if (waiting.length > 0) log.warn({ settings: waiting }, `SIGHUP: changes of ${waiting.join(', ')} need a restart`);
  }

  /** Settings that have another value than at the start, and that nothing takes over. */
  #needsRestart(loaded: LoadedConfig): string[] {
    const isTlsNew = (this.#started.config.tls === undefined) !== (loaded.config.tls === undefined);
    return SETTINGS.filter(({ key, isLive }) => {
      const [before, now] = [this.#started.values.get(key)?.value, loaded.values.get(key)?.value];
      return JSON.stringify(before) !== JSON.stringify(now) && (!isLive || (isTlsNew && key.startsWith('tls.')));
    }).map(({ key }) => key);
  }
}

function isSame(a: TlsOptions, b: TlsOptions): boolean {
  return (['cert', 'key', 'ca'] as const).every((part) => String(a[part] ?? '') === String(b[part] ?? ''));
}
