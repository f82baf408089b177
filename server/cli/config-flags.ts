// The flags that settings have, and the sources that `leveret start` and `leveret config` read them from.
// Always: a flag is a setting's key after `--`, its dot a dash; a test compares them with settings.ts.

import type { Command } from 'commander';
import type { ConfigSources } from '../config-sources.ts';
import { flagOf } from '../setting.ts';
import { SETTINGS } from '../settings.ts';

/** By commander: camel case. */
export type ConfigFlags = Readonly<Record<string, string | boolean | undefined>>;

export function addConfigFlags(command: Command): Command {
  return command
    .option('--host <address>', 'where to listen (default: 127.0.0.1, this machine only)')
    .option('--http-port <port>', 'port for WebSocket and HTTP; 0 takes any that is free (default: 15672)')
    .option('--https-port <port>', 'port for the same over TLS, opened with --tls-cert (default: 15671)')
    .option('--amqp-port <port>', 'port for AMQP 0-9-1; 0 takes any that is free (default: 5672)')
    .option('--amqps-port <port>', 'port for AMQP 0-9-1 over TLS, opened with --tls-cert (default: 5671)')
    .option('--tls-cert <file>', 'certificate chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--tls-ca <file>', 'authorities that client certificates are verified against, PEM')
    .option('--tls-client-certificate <how>', 'none, ask or require: one that is verified logs in with EXTERNAL (default: none)')
    .option('--data-dir <directory>', 'where messages are kept (default: .leveret)')
    .option('--memory', 'keep messages in memory instead: they end with the process')
    .option('--config <file>', 'settings in TOML; docs/configuration.md lists them')
    .option('--log-level <level>', 'silent, fatal, error, warn, info, debug or trace (default: info); the log goes to stderr');
}

export function sourcesOf(flags: ConfigFlags, environment: Readonly<Record<string, string | undefined>>): ConfigSources {
  const given = SETTINGS.filter(({ isFlag }) => isFlag).map(({ key }) => [key, flags[camelCase(flagOf(key))]] as const);
  const file = flags['config'] ?? environment['LEVERET_CONFIG'];
  return { flags: Object.fromEntries(given), environment, file: typeof file === 'string' ? file : undefined };
}

function camelCase(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_dash, letter: string) => letter.toUpperCase());
}
