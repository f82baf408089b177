// `leveret start`: runs the broker until it is told to end, and tells a person where it is and what to type next.
// Always: (1) the line with the address is printed once the port is open, and says the port it got; (2) SIGTERM and SIGINT drain: clients are told,
// what they hold may be settled, then they are closed with 1001 and the data directory is closed; a second signal ends at once, and so does
// the first while data is recovered: both are as harmless as a kill; (3) each way of failing has its own exit code; (4) a disk that fails
// ends the process: what it could not store was not confirmed; (5) SIGHUP never ends it (reload.ts).
// Refuses to open the well-known guest to a network: beyond loopback it may not log in. A first start there makes an administrator, whose password is
// printed, once, and is in no log; a later one says how to set a user.

import { setTimeout as pause } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { AmqpError } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { AuditFile, auditToLog } from '../audit-file.ts';
import type { AuditScope, AuditSink } from '../broker/audit.ts';
import { SystemClock } from '../clock.ts';
import { type Addresses, Leveret, type Parts } from '../compose.ts';
import { type Config, ConfigError } from '../config.ts';
import { type LoadedConfig, loadConfig } from '../config-sources.ts';
import { readDefinitionsFile } from '../definitions-source.ts';
import { connectionLog, createLog, noticesTo } from '../log.ts';
import { MemoryWatch, memoryLimitBytes } from '../memory-watch.ts';
import type { Clock } from '../ports.ts';
import { residentBytes } from '../resident-memory.ts';
import { MemoryLog } from '../store/memory-log.ts';
import { readTlsFiles } from '../tls-files.ts';
import { VERSION } from '../version.ts';
import { isLoopback } from '../websocket/listener.ts';
import { addConfigFlags, type ConfigFlags, sourcesOf } from './config-flags.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { greeting } from './greeting.ts';
import { RecoveryReport } from './recovery-report.ts';
import { Reload } from './reload.ts';
import { DiskFailure, storeFailure } from './store-failures.ts';

// For the close frames' answers and the end of the log, once something has failed.
const CLOSE_MS_MAX = 2000;

export function configure(command: Command): void {
  addConfigFlags(command).action(async (flags: ConfigFlags) => {
    await start(flags);
  });
}

async function start(flags: ConfigFlags): Promise<void> {
  const load = (): LoadedConfig => loadConfig(sourcesOf(flags, process.env));
  const loaded = atStart(load);
  const { config, warnings } = loaded;
  const log = createLog(config.logLevel);
  for (const warning of warnings) log.warn(warning);
  watchFaults(log);
  const tls = readTls(config);
  const definitions = atStart(() => (config.definitions === undefined ? undefined : readDefinitionsFile(config.definitions)));
  const audit = openAudit(config, log);
  const failure = new DiskFailure(config.dataDir ?? '', log);
  const clock = new SystemClock();
  const leveret = await open(config, { clock, log, failure, audit, definitions });
  const watch = new MemoryWatch({
    clock,
    limitBytes: memoryLimitBytes(),
    alarmPercent: config.limits.memoryPercent,
    usedBytes: residentBytes,
    tell: (isOver) => leveret.broker.memoryAlarm(isOver),
  });
  // Not before: while data is recovered nothing else runs, and a signal may end that at once.
  const stop = stopSignal();
  const reload = new Reload(loaded, tls, { load, setTls: (changed) => leveret.setTls(changed), log });
  process.on('SIGHUP', () => {
    reload.run();
    audit.file?.reopen();
  });
  try {
    await Promise.race([failure.happened, serve(leveret, config, { log, tls, stop })]);
  } catch (error) {
    await closeAnyway(leveret);
    throw storeFailure(error, config.dataDir ?? '');
  } finally {
    watch.close();
    audit.file?.close();
  }
}

interface OpenAudit {
  readonly sink: AuditSink;
  readonly scope: AuditScope;
  /** undefined: it goes into the log. */
  readonly file: AuditFile | undefined;
}

function openAudit({ auditFile: path }: Config, log: Logger): OpenAudit {
  if (path === undefined) return { sink: auditToLog(log), scope: 'administrative', file: undefined };
  try {
    const file = new AuditFile(path, noticesTo(log));
    return { sink: file, scope: 'all', file };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.Configuration, `the audit log cannot be opened: ${text}`, 'look at the setting audit.file');
  }
}

interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly failure: DiskFailure;
  readonly audit: OpenAudit;
  readonly definitions: JsonObject | undefined;
}

/** Recovers what the data directory holds, and blocks while it does. */
async function open(config: Config, { clock, log, failure, audit, definitions }: Surroundings): Promise<Leveret> {
  const logs = { notices: noticesTo(log), logFor: (fields: object) => connectionLog(log, fields) };
  const parts = { logs, clock, audit, definitions, generatesUser: isOpenToAll(config) };
  const { dataDir: directory } = config;
  if (directory === undefined) return create(config, { ...parts, messageLog: new MemoryLog() });
  const { durableLog } = await import('../storage.ts');
  const report = new RecoveryReport({
    directory,
    notices: logs.notices,
    tell: (line) => process.stderr.write(`${line}\n`),
    now: () => performance.now(),
  });
  try {
    const messageLog = durableLog(directory, config, { clock, notices: report });
    const leveret = create(config, { ...parts, messageLog, onFault: failure.report });
    if (report.summary !== undefined) process.stdout.write(`${report.summary}\n`);
    return leveret;
  } catch (error) {
    throw storeFailure(error, directory);
  }
}

/** Definitions that are refused are a mistake in what was configured. */
function create(config: Config, parts: Parts): Leveret {
  try {
    return new Leveret(config, parts);
  } catch (error) {
    if (!(error instanceof AmqpError) || config.definitions === undefined) throw error;
    const { path = '', hint } = error.detail;
    throw new CliError(
      ExitCode.Configuration,
      `definitions: ${config.definitions}${path}: ${error.message.trim().replace(/\s*\n\s*/g, ': ')}`,
      hint,
    );
  }
}

/** Beyond loopback, with no user of its own. */
function isOpenToAll({ host, defaultUser }: Config): boolean {
  return !isLoopback(host) && !defaultUser.isConfigured;
}

interface Serving {
  readonly log: Logger;
  readonly tls: TlsOptions | undefined;
  readonly stop: Promise<string>;
}

async function serve(leveret: Leveret, config: Config, { log, tls, stop }: Serving): Promise<void> {
  const addresses = await listen(leveret, config, tls);
  log.debug({ ...addresses, version: VERSION }, 'listening');
  process.stdout.write(greeting(config, addresses, isOpenToAll(config) ? await leveret.firstUser() : undefined));
  const signal = await stop;
  process.stdout.write(`${signal}: closing; a second signal ends at once\n`);
  await leveret.drain('the server shuts down', config.limits.drainMs);
  await leveret.close('the server shuts down');
  log.debug('closed');
}

/** After a failure: what can be closed is, and what cannot does not hold the end up. */
async function closeAnyway(leveret: Leveret): Promise<void> {
  const late = new AbortController();
  const closed = leveret.close('the server has failed').catch(() => undefined); // the failure before it is the one that is told
  await Promise.race([closed, pause(CLOSE_MS_MAX, undefined, { signal: late.signal }).catch(() => undefined)]);
  late.abort();
  setTimeout(() => process.exit(), CLOSE_MS_MAX).unref(); // with the code that is set by then
}

/** Mistakes end the start. */
function atStart<Result>(load: () => Result): Result {
  try {
    return load();
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CliError(ExitCode.Configuration, error.message, 'docs/configuration.md lists every setting');
    throw error;
  }
}

async function listen(leveret: Leveret, config: Config, tls: TlsOptions | undefined): Promise<Addresses> {
  const { host, httpPort, httpsPort, amqpPort, amqpsPort } = config;
  try {
    return await leveret.listen(host, {
      http: httpPort,
      https: tls && { port: httpsPort, tls },
      amqp: amqpPort,
      amqps: tls && { port: amqpsPort, tls },
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const port = error instanceof Error && 'port' in error ? error.port : httpPort;
    const flag = ['--http-port', '--https-port', '--amqp-port'][[httpPort, httpsPort, amqpPort].indexOf(Number(port))] ?? '--amqps-port';
    const other = `use another one with ${flag}, or ${flag} 0 for any that is free`;
    if (code === 'EADDRINUSE') throw new CliError(ExitCode.Unavailable, `port ${port} on ${host} is taken by another process`, other);
    if (code === 'EACCES') throw new CliError(ExitCode.Unavailable, `port ${port} on ${host} may not be used by this user`, other);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new CliError(
        ExitCode.Configuration,
        `${host} is no address of this machine`,
        'choose one with --host, or --host 0.0.0.0 for all',
      );
    throw error;
  }
}

/** The files that the configuration names. */
function readTls({ tls }: Config): TlsOptions | undefined {
  try {
    return tls && readTlsFiles(tls);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.Configuration, `TLS cannot be set up: ${text}`, 'look at --tls-cert, --tls-key and --tls-ca: files in PEM');
  }
}

/** Resolves with the name of the first signal; another one ends the process. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    // Under `npm start` one Ctrl-C comes twice: from the terminal, and passed on by npm.
    let comesTwice = process.env['npm_lifecycle_event'] === 'start';
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked && signal === 'SIGINT' && comesTwice) comesTwice = false;
        else if (asked) process.exit(ExitCode.Interrupted);
        asked = true;
        resolve(signal);
      });
    }
  });
}

/** A fault that no connection owns. After an exception nobody caught the broker's state is in doubt, so the process ends. */
function watchFaults(log: Logger): void {
  process.on('unhandledRejection', (cause) => log.error({ err: cause }, 'a promise was rejected and nobody waited for it'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'an exception that nobody caught');
    process.exit(ExitCode.Internal);
  });
}
