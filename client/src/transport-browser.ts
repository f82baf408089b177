// The WebSocket transport in browsers (and wherever WebSocket is global). Chosen by the package's exports: Node gets transport-node.ts.
// Differs from it: pings are invisible here, so the client's own `ping` operation tells whether the broker lives.

import { SUBPROTOCOL } from '../../shared/protocol/control.ts';
import { RECEIVE_BYTES_MAX, type Link, type LinkHandlers, type Transport } from './transport.ts';

/** WebSocket, as `connect` uses it unless told otherwise. */
export const webSocketTransport: Transport = {
  open(url: string, handlers: LinkHandlers): Link {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => handlers.opened();
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data === 'string') handlers.text(data);
      else if (data.byteLength > RECEIVE_BYTES_MAX) socket.close(4501, 'message too large');
      else handlers.binary(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => handlers.closed(code, reason);
    return {
      sendText: (text) => socket.send(text),
      // The outgoing buffers are never shared memory; the DOM's types ask for proof.
      sendBinary: (bytes: Uint8Array<ArrayBufferLike>) => socket.send(bytes.buffer instanceof ArrayBuffer ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes.slice()),
      close: (code, why) => socket.close(code, why),
    };
  },
};
