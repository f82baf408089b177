// When the server's certificate ends, as the health check tells it: of every port with TLS, and of the new one after a reload.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateEnd } from '../../server/certificate.ts';
import { Leveret } from '../../server/compose.ts';
import { configOf } from '../../server/config.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { VirtualClock } from '../support/clock.ts';
import { ROOT } from '../tidy/sources.ts';

const pem = (name: string): Buffer => readFileSync(join(ROOT, `test/support/tls/${name}.pem`));
const tls = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`) });
const endOf = (name: string): string => new X509Certificate(pem(name)).validTo;
const ignore = (): void => undefined;

test('the end of the first certificate is read, and there is none without one', () => {
  expect(certificateEnd({ cert: [pem('server'), pem('ca')] })).toEqual({ at: Date.parse(endOf('server')), text: endOf('server') });
  expect(certificateEnd({})).toBeUndefined();
});

test('the API names every TLS port whose certificate ends, and after a reload the end of the new one', async () => {
  const logs = { notices: { notice: ignore }, logFor: () => ({ debug: ignore, info: ignore, warn: ignore, error: ignore }) };
  const clock = new VirtualClock();
  const leveret = new Leveret(configOf({ memory: true }), { logs, clock, messageLog: new MemoryLog() });
  const { http } = await leveret.listen('127.0.0.1', {
    ...{ http: 0, amqp: 0, https: { port: 0, tls: tls('server') }, amqps: { port: 0, tls: tls('server') } },
  });
  const expired = async (): Promise<unknown> => {
    const headers = { authorization: `Basic ${btoa('guest:guest')}` };
    const response = await fetch(`http://127.0.0.1:${http.port}/api/health/checks/certificate-expiration/9999/years`, { headers });
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null && 'expired' in body ? body.expired : body;
  };
  const ending = (name: string) =>
    ['https', 'amqp/ssl'].map((protocol) => expect.objectContaining({ protocol, certfile_expires_on: endOf(name) }));
  expect(await expired()).toEqual(ending('server'));
  leveret.setTls({ cert: pem('ca') }); // of the test's certificates the one that ends at another time
  expect(await expired()).toEqual(ending('ca'));
  await leveret.close();
});
