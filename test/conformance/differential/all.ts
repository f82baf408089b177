// Every situation there is: those that play side by side, and those that play alone.

import { acks } from './acks.ts';
import { alarms } from './alarms.ts';
import { bindings } from './bindings.ts';
import { channels } from './channels.ts';
import { connections } from './connections.ts';
import { consuming } from './consuming.ts';
import { deadLetters } from './dead-letters.ts';
import { exchanges } from './exchanges.ts';
import { expiry } from './expiry.ts';
import { framing } from './framing.ts';
import { handshake } from './handshake.ts';
import { limits } from './limits.ts';
import { propertySituations } from './properties.ts';
import { publishing } from './publishing.ts';
import { queueArguments } from './queue-arguments.ts';
import { queues } from './queues.ts';
import { replyTo } from './reply-to.ts';
import { routing } from './routing.ts';
import type { Situation } from './stage.ts';
import { transactions } from './transactions.ts';

export const all: readonly Situation[] = [
  ...handshake,
  ...connections,
  ...channels,
  ...framing,
  ...exchanges,
  ...bindings,
  ...routing,
  ...queues,
  ...queueArguments,
  ...publishing,
  ...consuming,
  ...acks,
  ...expiry,
  ...deadLetters,
  ...limits,
  ...replyTo,
  ...transactions,
  ...propertySituations,
];

export const alone: readonly Situation[] = alarms;
