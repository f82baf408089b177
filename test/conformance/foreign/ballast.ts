// Messages that nobody takes, as many as it needs for a broker's memory alarm; and their end.
// Always: after `load` the alarm stands, after `drop` it does not; both may be asked for again. amqplib carries it: it says when it is blocked.

import amqp from 'amqplib';
import { within } from './checks.ts';

const QUEUE = 'foreign.ballast';
const MESSAGE_BYTES = 4 * 1024 * 1024;

export async function loadBallast(amqpUrl: string, patienceMs: number): Promise<void> {
  const connection = await amqp.connect(amqpUrl);
  connection.on('error', () => {});
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(QUEUE, { durable: false });
  let isBlocked = false;
  const blocked = new Promise<void>((resolve) =>
    connection.once('blocked', () => {
      isBlocked = true;
      resolve();
    }),
  );
  while (!isBlocked) {
    channel.sendToQueue(QUEUE, Buffer.alloc(MESSAGE_BYTES));
    // the first publish under the alarm is told, and not confirmed
    await within(patienceMs, 'a confirm or the alarm', Promise.race([channel.waitForConfirms(), blocked]));
  }
  await connection.close();
}

export async function dropBallast(amqpUrl: string): Promise<void> {
  const connection = await amqp.connect(amqpUrl);
  const channel = await connection.createChannel();
  await channel.deleteQueue(QUEUE);
  await connection.close();
}
