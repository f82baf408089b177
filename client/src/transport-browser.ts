// The WebSocket transport in browsers (and wherever WebSocket is global). Chosen by the package's exports: Node gets transport-node.ts.
// Differs from it: pings are invisible here, so the client's own `ping` operation tells whether the broker lives.

import { SUBPROTOCOL } from '../../shared/protocol/control.ts';
import type { Link, LinkHandlers, Transport } from './transport.ts';

/** WebSocket, as `connect` uses it unless told otherwise. */
export const webSocketTransport: Transport = {
  open(url: string, handlers: LinkHandlers): Link {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => handlers.opened();
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data === 'string') handlers.text(data);
      else handlers.binary(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => handlers.closed(code, reason);
    return {
      sendText: (text) => socket.send(text),
      // What is sent is never shared memory, which the DOM's types ask for.
      sendBinary: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
      close: (code, why) => socket.close(code, why),
    };
  },
};
