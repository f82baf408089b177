// The transport as an AMQP connection sees it: a stream of bytes. TCP and TLS are one (net-socket.ts), a WebSocket's binary messages another.
// Always: (1) bytes leave in the order of the calls; (2) `sent` is called in the order of the writes, at most once for each: not for
// what was given to a socket that closes already, whose bytes are then its own for good; (3) after
// `end` or `closed` nothing more comes in; (4) `onClosed` comes exactly once, never inside a call of the owner's.

export interface ByteSocket {
  /** `bytes` belong to the socket until `sent` is called. */
  write(bytes: Uint8Array, sent: () => void): void;
  /** Sends what was written, then ends; cut when the peer does not hang up in time. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
  /** Stops and goes on reading, so that the peer feels it. */
  pause(): void;
  resume(): void;
}

/** What the owner of a socket is told. A chunk is its own to keep and to write over; after `pause` there may be more, of what was read before. */
export interface ByteHandler {
  onBytes(chunk: Uint8Array): void;
  onClosed(): void;
}
