// The hostile cases against a real RabbitMQ: what amqp-hostile-cases.ts says of it is so, and where it says nothing, both answer the same.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { AmqpError } from '../../shared/error.ts';
import { play } from '../support/amqp-hostile.ts';
import { hostileCases } from './amqp-hostile-cases.ts';

let rabbit: RabbitMq;

beforeAll(async () => {
  if (hasRabbitMq()) rabbit = await RabbitMq.start();
});
afterAll(async () => {
  await rabbit?.stop();
});

/** A close whose text is not UTF-8. */
function unreadable(error: unknown): string {
  if (error instanceof AmqpError && error.message.includes('UTF-8')) return 'unreadable';
  throw error;
}

test.skipIf(!hasRabbitMq())('RabbitMQ answers hostile peers as the cases say', { timeout: 120_000 }, async () => {
  // at once: it thinks for seconds before it hangs up on who has not logged in
  const answers = await Promise.all(
    hostileCases.map(async (hostile) => {
      const answer = await play(rabbit.port, { ...hostile, answer: hostile.rabbit }, 'whole').then(
        (outcome) => ('code' in outcome ? outcome.code : outcome.how),
        unreadable,
      );
      return [`${hostile.stage}: ${hostile.what}`, answer];
    }),
  );
  expect(Object.fromEntries(answers)).toEqual(
    Object.fromEntries(hostileCases.map(({ stage, what, rabbit: answer }) => [`${stage}: ${what}`, answer])),
  );
});
