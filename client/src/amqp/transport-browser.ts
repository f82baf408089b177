// AMQP's bytes over a browser's WebSocket: in binary messages, whose edges mean nothing. Node gets transport-node.ts.

import { type ByteHandlers, type ByteLink, type ByteTransport, inPieces } from './bytes.ts';

/** WebSocket with the subprotocol `amqp`. */
export const webSocketBytes: ByteTransport = {
  open(url: string, handlers: ByteHandlers): ByteLink {
    const socket = new WebSocket(url, 'amqp');
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => handlers.opened();
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data !== 'string') handlers.bytes(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => handlers.closed(`closed by ${code} ${reason}`);
    return {
      send: (bytes) => {
        // What is sent is never shared memory, which the DOM's types ask for.
        if (socket.readyState === WebSocket.OPEN) inPieces(bytes, (piece) => socket.send(piece as Uint8Array<ArrayBuffer>));
      },
      end: () => socket.close(1000),
      cut: () => socket.close(1000),
    };
  },
};
