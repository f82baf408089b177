// The channel's own methods: close, flow, access (which means nothing any more, and is answered), confirms and transactions.
// Always: a commit is answered when its record is durable. RabbitMQ differs: it answers 540 to flow(active=false), which here pauses the
// channel's consumers, as the specification has it (semantics B4). Refuses: nothing of its own; the session has the rules.

import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { Handlers } from './handlers.ts';

export const channelHandlers = {
  'channel.open': () => {
    throw new AmqpError(ReplyCode.ChannelError, "second 'channel.open' seen");
  },
  'channel.close': (channel) => channel.closeAsked(), // what was asked before it is answered by now
  'channel.flow': (channel, { active }) => {
    channel.isPaused = !active;
    channel.reply('channel.flow-ok', { active });
    if (active) channel.session.resume();
  },
  'access.request': (channel) => channel.reply('access.request-ok', { ticket: 1 }),

  'confirm.select': (channel, { nowait }) => {
    channel.selectConfirms();
    if (!nowait) channel.reply('confirm.select-ok', {});
  },

  'tx.select': (channel) => {
    channel.session.txSelect();
    channel.reply('tx.select-ok', {});
  },
  'tx.commit': (channel) => {
    channel.begin();
    channel.isCommitting = true;
    channel.session.txCommit(() => {
      channel.reply('tx.commit-ok', {});
      channel.isCommitting = false;
      channel.session.resume();
      channel.done();
    });
  },
  'tx.rollback': (channel) => {
    channel.session.txRollback();
    channel.reply('tx.rollback-ok', {});
  },
} satisfies Handlers;
