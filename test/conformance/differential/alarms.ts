// Situations: publishers that are held back while the broker is short of memory. They play alone: an alarm is everybody's.

import { situations, table } from './stage.ts';

export const alarms = situations({
  'who publishes under an alarm is told once and held back until it is over; who does not is neither': async (s) => {
    const watcher = await s.channel();
    await watcher.declare(s.name('q'));
    await watcher.declare(s.name('work'));
    const publisher = await s.channel();
    const unaware = await s.channel({ clientProperties: table({ capabilities: table({ 'basic.nack': true }) }) });
    const consumer = await s.channel();
    watcher.put(s.name('work'), 'before', 'before too');
    await watcher.counts(s.name('work'), 2);
    await s.alarm(true);

    publisher.put(s.name('q'), '1');
    await publisher.connection.at(0).next();
    publisher.put(s.name('q'), '2');
    unaware.put(s.name('q'), '3');
    await consumer.consume(s.name('work'));
    await consumer.take(2);
    consumer.send('basic.ack', { deliveryTag: 1 });
    await consumer.declare(s.name('new'), {}, { exclusive: true });
    await consumer.connection.close();

    await s.alarm(false);
    await publisher.connection.at(0).next();
    await publisher.fence();
    await unaware.fence();
    await watcher.counts(s.name('q'), 3);
    await watcher.drain(s.name('work'));
  },
});
