// The management API on a socket of Node's. Always: the peer's own address counts, never a header's.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Remote } from '../broker/login.ts';
import { type ApiOptions, createApi } from './api.ts';
import type { ApiListener } from './server.ts';

export function apiListener(options: ApiOptions, isLoopback: (address: string) => boolean): ApiListener {
  const api = createApi(options);
  const told = new WeakMap<object, () => void>();
  const listener = getRequestListener(
    async (request, env) => {
      const loggedIn = 'incoming' in env ? told.get(env.incoming) : undefined;
      const socket = 'incoming' in env ? env.incoming.socket : undefined;
      const address = socket?.remoteAddress ?? '';
      const [peerPort, localAddress, localPort] = [socket?.remotePort ?? 0, socket?.localAddress ?? '', socket?.localPort ?? 0];
      const ends = { peerPort, localAddress, localPort, isTls: socket !== undefined && 'encrypted' in socket };
      const remote: Remote = { name: `${address}:${peerPort}`, address, isLoopback: isLoopback(address), ends };
      return await api(request, remote, loggedIn);
    },
    { overrideGlobalObjects: false },
  );
  return (request: IncomingMessage, response: ServerResponse, loggedIn) => {
    told.set(request, loggedIn);
    void listener(request, response);
  };
}
