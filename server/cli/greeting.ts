// What `leveret start` prints once it listens: where it is, and what to type next.
// Always: the addresses are those it got. Refuses: secrets, but the password of a user that was just made: it is nowhere else.

import { resolve } from 'node:path';
import { styleText } from 'node:util';
import { type Addresses, authority } from '../compose.ts';
import type { Config } from '../config.ts';
import type { GeneratedUser } from '../identity/default-user.ts';
import { VERSION } from '../version.ts';
import { isLoopback } from '../websocket/listener.ts';

/** `made`: the first user, who was not there before. */
export function greeting(
  { dataDir, defaultUser }: Config,
  { http: { host, port }, https, amqp, amqps }: Addresses,
  made?: GeneratedUser,
): string {
  const at = authority(host, port);
  const strong = (text: string): string => styleText('bold', text, { stream: process.stdout });
  const url = port === 15_672 && isLoopback(host) ? '' : ` --url ws://${isLoopback(host) ? at : authority('127.0.0.1', port)}/ws`;
  const lines = [
    `${strong(`Leveret ${VERSION}`)} listens on ${strong(`ws://${at}/ws`)} (health: http://${at}/health)`,
    ...(https === undefined ? [] : [`and with TLS on ${strong(`wss://${authority(https.host, https.port)}/ws`)}`]),
    ...(amqp === undefined ? [] : [`AMQP 0-9-1 clients connect to ${strong(`amqp://${authority(amqp.host, amqp.port)}`)}`]),
    ...(amqps === undefined ? [] : [`and with TLS to ${strong(`amqps://${authority(amqps.host, amqps.port)}`)}`]),
    dataDir === undefined ? 'Messages are kept in memory: they end with this process.' : `Messages are kept in ${resolve(dataDir)}.`,
  ];
  if (made !== undefined) {
    const password = strong(made.password);
    lines.push(
      `There was no user yet. The first, an administrator: ${strong(made.name)}, password ${password} (shown this once; keep it).`,
    );
  } else if (!isLoopback(host) && !defaultUser.isConfigured)
    lines.push(
      'The users of earlier starts can log in; guest only from this machine. Another one: LEVERET_DEFAULT_USER=name LEVERET_DEFAULT_PASS=secret, or default-user and default-pass in the --config file.',
    );
  const name = made?.name ?? (defaultUser.isConfigured ? defaultUser.name : undefined);
  const login = name === undefined ? '' : ` (as ${name}: the password goes into --url ws://user:password@...)`;
  lines.push(
    `Try it in another terminal${login}:`,
    `  npx leveret declare queue hello${url}`,
    `  npx leveret publish '' hello 'Hello, world'${url}`,
    `  npx leveret get hello${url}`,
    'Ctrl-C ends it.',
  );
  return `${lines.join('\n')}\n`;
}
