// The transport as a connection sees it: whole messages, text or binary, in order. `ws` is one (web-socket.ts), the in-memory pair another.
// Always: (1) messages leave in the order of the calls; (2) `sent` is called in the order of the messages, at most once for each: never
// for what was given to a socket that closes already, whose bytes are then its own for good;
// (3) after `close` or `closed` nothing more comes in; (4) `closed` comes exactly once, never inside a call of the owner's.

export interface MessageSocket {
  sendText(text: string, sent: () => void): void;
  /** `bytes` belong to the socket until `sent` is called. */
  sendBinary(bytes: Uint8Array, sent: () => void): void;
  /** Says why, and ends. What was sent before goes out first. */
  close(code: number, reason: string): void;
  /** Stops and goes on reading, so that the peer feels it. */
  pause(): void;
  resume(): void;
  /** The peer may from now on send messages up to this size. */
  admit(messageBytesMax: number): void;
}

/** What the owner of a socket is told. Bytes are its own to keep; after `pause` there may be more, of what was read before. */
export interface SocketHandler {
  onText(text: string): void;
  onBinary(bytes: Uint8Array): void;
  onClosed(code: number, reason: string): void;
}
