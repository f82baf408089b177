// The port to the network: one duplex of text and binary messages. WebSocket implements it, and so does anything in memory.
// Always: (1) bytes are valid only during the call, in both directions: who keeps them copies them; (2) `opened` is called after open() returned, at most
// once; (3) `closed` is called exactly once for each link, also when it never opened (1006), and never inside open(), send or close().

/**
 * What `connect` talks through; give your own as the option `transport`.
 * ```ts
 * const silent: Transport = { open: (_url, handlers) => {
 *   queueMicrotask(() => handlers.closed(1006, 'nobody here'));
 *   return { sendText() {}, sendBinary() {}, close() {} };
 * } };
 * const error = await connect('memory:', { transport: silent, reconnect: false }).catch((error) => error);
 * console.log(error.code); // DISCONNECTED
 * ```
 */
export interface Transport {
  open(url: string, handlers: LinkHandlers): Link;
}

/** One open (or opening) connection, as the client uses it: see {@link Transport}. */
export interface Link {
  sendText(text: string): void;
  /** The bytes are the sender's again when this returns. */
  sendBinary(bytes: Uint8Array): void;
  close(code: number, reason?: string): void;
}

/** What a link calls: see {@link Transport}. */
export interface LinkHandlers {
  opened(): void;
  text(text: string): void;
  /** The bytes are the transport's again when this returns. */
  binary(bytes: Uint8Array): void;
  /** Something below messages came (a WebSocket ping): the peer lives. */
  heard(): void;
  closed(code: number, reason: string): void;
}

/** WebSocket messages above this close the connection: a server's batches are far smaller. 32 MiB holds the largest message a default broker takes, twice. */
export const RECEIVE_BYTES_MAX = 33_554_432;
