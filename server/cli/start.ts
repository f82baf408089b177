// `leveret start`: runs the broker until it is told to end, and tells a person where it is and what to type next.
// Always: (1) the line with the address is printed once the port is open, and says the port it got; (2) SIGTERM and SIGINT drain: clients are told,
// what they hold may be settled, then they are closed with 1001 and the data directory is closed; a second signal ends at once, and so does
// the first while data is recovered: both are as harmless as a kill; (3) each way of failing has its own exit code; (4) a disk that fails
// ends the process: what it could not store was not confirmed.
// Refuses to open the well-known guest to a network: beyond loopback it may not log in, and the output says how to set a user.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createSecureContext, type TlsOptions } from 'node:tls';
import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { SystemClock } from '../clock.ts';
import { type Addresses, authority, Leveret } from '../compose.ts';
import { type Config, ConfigError } from '../config.ts';
import { type LoadedConfig, loadConfig } from '../config-sources.ts';
import { createLog, noticesTo } from '../log.ts';
import { MemoryWatch, memoryLimitBytes } from '../memory-watch.ts';
import type { Clock } from '../ports.ts';
import { MemoryLog } from '../store/memory-log.ts';
import { VERSION } from '../version.ts';
import { isLoopback } from '../websocket/listener.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { RecoveryReport } from './recovery-report.ts';
import { DiskFailure, storeFailure } from './store-failures.ts';

// For the close frames' answers and the end of the log, once something has failed.
const CLOSE_MS_MAX = 2000;

interface Flags {
  readonly host?: string;
  readonly httpPort?: string;
  readonly amqpPort?: string;
  readonly amqpsPort?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsClientCertificate?: string;
  readonly logLevel?: string;
  readonly dataDir?: string;
  readonly memory?: true;
  readonly config?: string;
}

export function configure(command: Command): void {
  command
    .option('--host <address>', 'where to listen (default: 127.0.0.1, this machine only)')
    .option('--http-port <port>', 'port for WebSocket and HTTP; 0 takes any that is free (default: 15672)')
    .option('--amqp-port <port>', 'port for AMQP 0-9-1; 0 takes any that is free (default: 5672)')
    .option('--amqps-port <port>', 'port for AMQP 0-9-1 over TLS, opened with --tls-cert (default: 5671)')
    .option('--tls-cert <file>', 'certificate chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--tls-ca <file>', 'authorities that client certificates are verified against, PEM')
    .option('--tls-client-certificate <how>', 'none, ask or require: one that is verified logs in with EXTERNAL (default: none)')
    .option('--data-dir <directory>', 'where messages are kept (default: .leveret)')
    .option('--memory', 'keep messages in memory instead: they end with the process')
    .option('--config <file>', 'settings in TOML; docs/configuration.md lists them')
    .option('--log-level <level>', 'silent, fatal, error, warn, info, debug or trace (default: info); the log goes to stderr')
    .action(async (flags: Flags) => {
      await start(flags);
    });
}

async function start(flags: Flags): Promise<void> {
  const { config, warnings } = load(flags);
  const log = createLog(config.logLevel);
  for (const warning of warnings) log.warn(warning);
  watchFaults(log);
  const failure = new DiskFailure(config.dataDir ?? '', log);
  const clock = new SystemClock();
  const leveret = await open(config, { clock, log, failure });
  const watch = new MemoryWatch({
    clock,
    limitBytes: memoryLimitBytes(),
    usedBytes: process.memoryUsage.rss,
    tell: (isOver) => leveret.broker.memoryAlarm(isOver),
  });
  // Not before: while data is recovered nothing else runs, and a signal may end that at once.
  const stop = stopSignal();
  try {
    await Promise.race([failure.happened, serve(leveret, config, log, stop)]);
  } catch (error) {
    await closeAnyway(leveret);
    throw storeFailure(error, config.dataDir ?? '');
  } finally {
    watch.close();
  }
}

interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly failure: DiskFailure;
}

/** Recovers what the data directory holds, and blocks while it does. */
async function open(config: Config, { clock, log, failure }: Surroundings): Promise<Leveret> {
  const logs = { notices: noticesTo(log), logFor: (fields: object) => log.child(fields) };
  const { dataDir: directory } = config;
  if (directory === undefined) return new Leveret(config, { logs, clock, messageLog: new MemoryLog() });
  const { durableLog } = await import('../storage.ts');
  const report = new RecoveryReport({
    directory,
    notices: logs.notices,
    tell: (line) => process.stderr.write(`${line}\n`),
    now: () => performance.now(),
  });
  try {
    const messageLog = durableLog(directory, config, { clock, notices: report });
    const leveret = new Leveret(config, { logs, clock, messageLog, onFault: failure.report });
    if (report.summary !== undefined) process.stdout.write(`${report.summary}\n`);
    return leveret;
  } catch (error) {
    throw storeFailure(error, directory);
  }
}

async function serve(leveret: Leveret, config: Config, log: Logger, stop: Promise<string>): Promise<void> {
  const addresses = await listen(leveret, config);
  log.debug({ ...addresses, version: VERSION }, 'listening');
  process.stdout.write(greeting(config, addresses));
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

function load(flags: Flags): LoadedConfig {
  try {
    return loadConfig({
      flags: {
        host: flags.host,
        'http-port': flags.httpPort,
        'amqp-port': flags.amqpPort,
        'amqps-port': flags.amqpsPort,
        'tls.cert': flags.tlsCert,
        'tls.key': flags.tlsKey,
        'tls.ca': flags.tlsCa,
        'tls.client-certificate': flags.tlsClientCertificate,
        'data-dir': flags.dataDir,
        memory: flags.memory,
        'log-level': flags.logLevel,
      },
      environment: process.env,
      file: flags.config ?? process.env['LEVERET_CONFIG'],
    });
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CliError(ExitCode.Configuration, error.message, 'docs/configuration.md lists every setting');
    throw error;
  }
}

async function listen(leveret: Leveret, config: Config): Promise<Addresses> {
  const { host, httpPort, amqpPort, amqpsPort } = config;
  const tls = readTls(config);
  try {
    return await leveret.listen(host, { http: httpPort, amqp: amqpPort, amqps: tls && { port: amqpsPort, tls } });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const port = error instanceof Error && 'port' in error ? error.port : httpPort;
    const flag = port === httpPort ? '--http-port' : port === amqpPort ? '--amqp-port' : '--amqps-port';
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
  if (tls === undefined) return undefined;
  try {
    const options: TlsOptions = {
      cert: readFileSync(tls.cert),
      key: readFileSync(tls.key),
      ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
      requestCert: tls.clientCertificate !== 'none',
      rejectUnauthorized: tls.clientCertificate === 'require',
      minVersion: 'TLSv1.2',
    };
    createSecureContext(options);
    return options;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitCode.Configuration, `TLS cannot be set up: ${text}`, 'look at --tls-cert, --tls-key and --tls-ca: files in PEM');
  }
}

function greeting(config: Config, { http: { host, port }, amqp, amqps }: Addresses): string {
  const at = authority(host, port);
  const strong = (text: string): string => styleText('bold', text, { stream: process.stdout });
  const url = port === 15_672 && isLoopback(host) ? '' : ` --url ws://${isLoopback(host) ? at : authority('127.0.0.1', port)}/ws`;
  const lines = [
    `${strong(`Leveret ${VERSION}`)} listens on ${strong(`ws://${at}/ws`)} (health: http://${at}/health)`,
    ...(amqp === undefined ? [] : [`AMQP 0-9-1 clients connect to ${strong(`amqp://${authority(amqp.host, amqp.port)}`)}`]),
    ...(amqps === undefined ? [] : [`and with TLS to ${strong(`amqps://${authority(amqps.host, amqps.port)}`)}`]),
    config.dataDir === undefined
      ? 'Messages are kept in memory: they end with this process.'
      : `Messages are kept in ${resolve(config.dataDir)}.`,
  ];
  if (!isLoopback(host) && config.user === 'guest') {
    lines.push(
      'Nobody can log in from other machines: guest is for this one. Set a user: LEVERET_USER=name LEVERET_PASSWORD=secret, or user and password in the --config file.',
    );
  }
  const login =
    config.user === 'guest' && config.password === 'guest'
      ? ''
      : ` (as ${config.user}: the password goes into --url ws://user:password@...)`;
  lines.push(
    `Try it in another terminal${login}:`,
    `  npx leveret declare queue hello${url}`,
    `  npx leveret publish '' hello 'Hello, world'${url}`,
    `  npx leveret get hello${url}`,
    'Ctrl-C ends it.',
  );
  return `${lines.join('\n')}\n`;
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
