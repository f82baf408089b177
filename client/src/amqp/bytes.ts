// The port to the network as AMQP needs it: one duplex of bytes, cut anywhere. TCP, TLS and WebSocket implement it, and so does anything in memory.
// Always: (1) `opened` is called after open() returned, at most once; (2) `closed` is called exactly once for each link, also when it never opened, and in a
// turn of the event loop of its own, as the network has it: what was told before it has been acted on by then.

/**
 * What `connect` of leveret-client/amqp talks through; give your own as the option `transport`.
 * ```ts
 * const silent: ByteTransport = { open: (_url, handlers) => {
 *   setTimeout(() => handlers.closed('nobody here'));
 *   return { send() {}, end() {}, cut() {} };
 * } };
 * console.log(typeof silent.open);
 * ```
 */
export interface ByteTransport {
  open(url: string, handlers: ByteHandlers): ByteLink;
}

// A server bounds its WebSocket messages, Leveret by its largest AMQP message: their edges mean nothing, so they may as well be near.
const PIECE_BYTES = 65_536;

/** Bytes in pieces that every server takes as one WebSocket message. */
export function inPieces(bytes: Uint8Array, send: (piece: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) send(bytes.subarray(at, at + PIECE_BYTES));
}

/** One open (or opening) connection: see {@link ByteTransport}. */
export interface ByteLink {
  /** The bytes will not change any more: they need no copy. */
  send(bytes: Uint8Array): void;
  /** Ends when all that was sent is on its way. */
  end(): void;
  /** Ends at once. */
  cut(): void;
}

/** What a link calls: see {@link ByteTransport}. */
export interface ByteHandlers {
  opened(): void;
  /** The bytes are the handler's from now on. */
  bytes(bytes: Uint8Array): void;
  closed(reason: string): void;
}
