// Declaring over the management API: what a body leaves out is what RabbitMQ 3.10.8 takes it for.
import { expect, test } from 'vitest';
import { ApiServer } from '../../support/api-server.ts';

test.each(['queues', 'exchanges'])(
  'PUT /api/%s/... without durable declares a transient one, and durable is another then: 400',
  async (kind) => {
    const server = new ApiServer();
    const put = (body: string) => server.ask('PUT', `/api/${kind}/%2F/new`, 'admin', body);
    expect((await put('{}')).status).toBe(201);
    expect((await server.ask('GET', `/api/${kind}/%2F/new?columns=durable,auto_delete`, 'admin')).body).toEqual({
      durable: false,
      auto_delete: false,
    });
    expect(await put('{"durable":true}')).toMatchObject({
      status: 400,
      body: { reason: expect.stringMatching(/^inequivalent arg 'durable' for .* received 'true' but current is 'false'$/) },
    });
    expect((await put('')).status).toBe(204);
  },
);

test('a quorum queue must be durable in so many words: 400', async () => {
  const put = await new ApiServer().ask('PUT', '/api/queues/%2F/new', 'admin', '{"arguments":{"x-queue-type":"quorum"}}');
  expect(put).toMatchObject({ status: 400, body: { reason: expect.stringContaining("invalid property 'non-durable' for queue 'new'") } });
});
