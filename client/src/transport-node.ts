// The WebSocket transport in Node: `ws`. Always: deflate is off, and what a server may send in one message is bounded.
// Chosen by the package's exports: browsers get transport-browser.ts.

import { type RawData, WebSocket } from 'ws';
import { SUBPROTOCOL } from '../../shared/protocol/control.ts';
import { type Link, type LinkHandlers, RECEIVE_BYTES_MAX, type Transport } from './transport.ts';

/**
 * WebSocket, as `connect` uses it unless told otherwise.
 * ```ts
 * console.log(typeof webSocketTransport.open);
 * ```
 */
export const webSocketTransport: Transport = {
  open(url: string, handlers: LinkHandlers): Link {
    const socket = new WebSocket(url, SUBPROTOCOL, { perMessageDeflate: false, maxPayload: RECEIVE_BYTES_MAX });
    let reason = '';
    socket.on('open', () => handlers.opened());
    socket.on('message', (message: RawData, isBinary: boolean) => {
      if (!(message instanceof Uint8Array)) return; // binaryType is nodebuffer: always one Buffer
      if (isBinary) handlers.binary(message);
      else handlers.text(message.toString());
    });
    socket.on('ping', () => handlers.heard());
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', (code, bytes) => handlers.closed(code, bytes.toString() || reason));
    return {
      sendText: (text) => socket.send(text),
      sendBinary: (bytes) => socket.send(bytes, { binary: true }),
      close(code, why) {
        if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
        else socket.close(code, why);
      },
    };
  },
};
