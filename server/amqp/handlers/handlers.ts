// One handler for each method that a client sends on a channel, by name: what AMQP means in the broker's terms.
// Always: (1) a handler is called when its turn has come (Channel.mustWait), and answers once, unless nowait; (2) what cannot be done is thrown.
// Refuses: methods that only a server sends (503). The connection's own methods are in connection.ts, publish and acks in incoming.ts.

import type { Method, MethodFields } from '../../../shared/amqp/methods.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { Channel } from '../channel.ts';
import { basicHandlers } from './basic.ts';
import { channelHandlers } from './channel.ts';
import { topologyHandlers } from './topology.ts';

export type Handler<Name extends MethodName> = (channel: Channel, fields: MethodFields<Name>) => void;
export type Handlers = { readonly [Name in MethodName]?: Handler<Name> };

const handlers: Handlers = { ...channelHandlers, ...topologyHandlers, ...basicHandlers };

/** Carries out a method. False: not now; it is to be tried again when the channel says so. */
export function handle(channel: Channel, method: Method): boolean {
  const { name } = method;
  const handler = handlers[name] as Handler<typeof name> | undefined;
  if (handler === undefined) throw new AmqpError(ReplyCode.CommandInvalid, 'unimplemented method');
  if (name !== 'basic.recover-async' && channel.mustWait(name in topologyHandlers)) return false;
  handler(channel, method.fields as MethodFields<typeof name> & Method['fields']); // one union, split by its name
  return true;
}
