// What runs in Chromium: the browser entry of leveret-client/amqp, over the browser's own WebSocket; called by name from client-amqp.test.ts.

import { connect } from '../../client/src/amqp/browser.ts';

declare global {
  interface Window {
    tryAmqp(url: string): Promise<unknown>;
  }
}

window.tryAmqp = async (url) => {
  const mq = await connect(url, { topology: { queues: { page: {} } } });
  const body = new Uint8Array(2_000_000).fill(7);
  await mq.queue('page').publish({ from: 'a page' }, { headers: { huge: 2n ** 60n } });
  await mq.queue('page').publish(body);
  const seen: unknown[] = [];
  for await (const msg of mq.queue('page').consume()) {
    seen.push(msg.body instanceof Uint8Array ? msg.body.length : msg.body, String(msg.headers['huge']));
    msg.ack();
    if (seen.length === 4) break;
  }
  const service = await mq.serve<number>('double', (msg) => msg.body * 2);
  seen.push(await mq.request('double', 21));
  await service.drain();
  seen.push(await connect(url.replace('ws:', 'amqp:')).catch((error) => error.code));
  await mq.drain();
  return [...seen, mq.state];
};
