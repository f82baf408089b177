// One AMQP connection with one channel: handshake, requests answered in their order, and bytes in and out for a publisher or consumer that frames them itself.
// Always: (1) what ends it early reaches `failed` once, as a CliError that says what to do: nobody listens, the login is refused, the broker closes with a
// text; (2) bytes are read into one buffer, the same for all links, and what is shown of it is good until the callback returns; (3) heartbeats are off: a benchmark's
// connection is busy, and one that hangs is seen in its figures.
// Refuses frames on other channels, content that nobody asked for, and to reconnect.

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { PROTOCOL_HEADER } from '../../../shared/amqp/frame.ts';
import { decodeMethod, type Method, type MethodFields, methodFrame } from '../../../shared/amqp/methods.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import type { FieldTable } from '../../../shared/amqp/table.ts';
import { Ring } from '../../../shared/ring.ts';
import { decodeUtf8Loosely, encodeUtf8 } from '../../../shared/text.ts';
import { VERSION } from '../../version.ts';
import { CliError, ExitCode } from '../exit-codes.ts';
import { printable } from '../output.ts';
import type { Address } from './address.ts';
import { type ContentReader, ContentWalk } from './content-walk.ts';

export const CHANNEL = 1;
// A read is one system call: fewer and larger. What was read is looked at before anything else is, so that links can share it, but on Windows, where a read
// is begun long before it has anything.
const READ_BYTES = 256 * 1024;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
const ownBuffer = (): Buffer => (process.platform === 'win32' ? Buffer.allocUnsafeSlow(READ_BYTES) : readBuffer);
const FRAME_MAX = 128 * 1024; // what most clients ask for
const OPEN_MS_MAX = 10_000;
const CLOSE_MS_MAX = 2_000;

/** The last that a link sends. */
export const CLOSE_FRAME = methodFrame(0, 'connection.close', {
  replyCode: 200,
  replyText: 'Goodbye',
  failedClassId: 0,
  failedMethodId: 0,
});

/** What a publisher or consumer does with what comes. */
export interface LinkEnd {
  content(stamp: number): void;
  settled(tag: number, isMultiple: boolean, isNack: boolean): void;
  /** All of a chunk has been told. */
  chunkRead(): void;
}

const NOBODY: LinkEnd = { content: () => undefined, settled: () => undefined, chunkRead: () => undefined };

type Waiting = { readonly resolve: (method: Method) => void; readonly reject: (error: Error) => void };

export class Link implements ContentReader {
  frameMax = FRAME_MAX;
  /** As the broker names itself, such as RabbitMQ 3.10.8. */
  broker = '';
  /** The broker's reason while it holds publishers back. */
  blockedReason: string | undefined;
  end: LinkEnd = NOBODY;
  /** Rejects when the connection ends before `close`. */
  readonly failed: Promise<never>;
  readonly #address: Address;
  readonly #socket: Socket;
  readonly #walk: ContentWalk = new ContentWalk(this);
  /** For their answers, which come in the order of the requests. */
  readonly #waiting = new Ring<Waiting>();
  #fail: (error: Error) => void = () => undefined;
  #failure: Error | undefined;
  #isOpen = false;
  #isClosing = false;
  #firstByte = -1;

  private constructor(address: Address) {
    this.#address = address;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => undefined); // who waits for it hears of it
    const { host, port, isTls } = address;
    if (isTls) {
      this.#socket = connectTls({ host, port, servername: host });
      this.#socket.on('data', (chunk: Buffer) => this.#read(chunk, chunk.length));
    } else {
      const buffer = ownBuffer();
      const callback = (size: number): boolean => {
        this.#read(buffer, size);
        return true;
      };
      this.#socket = connectTcp({ host, port, noDelay: true, onread: { buffer, callback } });
    }
    this.#socket.setTimeout(OPEN_MS_MAX, () => this.#timedOut());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#lost(error));
    this.#socket.on('close', () => this.#lost(undefined));
  }

  /** A connection with an open channel. `name` is for the broker's list of connections. */
  static async open(address: Address, name: string, signal?: AbortSignal): Promise<Link> {
    const link = new Link(address);
    const interrupted = (): void => link.#stop(new CliError(ExitCode.Interrupted, 'interrupted'));
    signal?.addEventListener('abort', interrupted);
    try {
      await link.#handshake(name);
      return link;
    } finally {
      signal?.removeEventListener('abort', interrupted);
    }
  }

  async #handshake(name: string): Promise<void> {
    const { user, password, vhost } = this.#address;
    const start = this.#answer('connection.start');
    this.#socket.write(Uint8Array.from(PROTOCOL_HEADER));
    this.broker = brokerName((await start).fields.serverProperties);
    const tune = this.#answer('connection.tune');
    const capabilities = new Map(['authentication_failure_close', 'connection.blocked', 'basic.nack'].map((each) => [each, true]));
    const clientProperties: FieldTable = new Map<string, FieldTable | string>([
      ['product', 'leveret bench'],
      ['version', VERSION],
      ['connection_name', name],
      ['capabilities', capabilities],
    ]);
    this.send(0, 'connection.start-ok', {
      clientProperties,
      mechanism: 'PLAIN',
      response: encodeUtf8(`\0${user}\0${password}`),
      locale: 'en_US',
    });
    const { channelMax, frameMax } = (await tune).fields;
    this.frameMax = frameMax === 0 ? FRAME_MAX : Math.min(frameMax, FRAME_MAX);
    this.send(0, 'connection.tune-ok', { channelMax, frameMax: this.frameMax, heartbeat: 0 });
    const openOk = this.#answer('connection.open-ok');
    this.send(0, 'connection.open', { virtualHost: vhost });
    await openOk;
    this.#isOpen = true;
    this.#socket.setTimeout(0);
    await this.openChannel();
  }

  /** Also after the broker closed the channel. */
  async openChannel(): Promise<void> {
    const opened = this.#answer('channel.open-ok');
    this.send(CHANNEL, 'channel.open', {});
    await opened;
  }

  /** Sends a request on the channel and answers its reply. A channel.close in its place rejects with ChannelClosed. */
  async request<Reply extends MethodName, Name extends MethodName>(
    name: Name,
    fields: MethodFields<Name>,
    reply: Reply,
  ): Promise<Named<Reply>> {
    const answer = this.#answer(reply);
    this.send(CHANNEL, name, fields);
    return answer;
  }

  send<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): void {
    this.#socket.write(methodFrame(channel, name, fields));
  }

  /** Writes frames; `done` is called when the socket is through with their bytes. False where it had rather not have more until then. */
  write(bytes: Uint8Array, done?: () => void): boolean {
    return this.#socket.write(bytes, done);
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined || this.#isClosing) return;
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
    });
    this.#socket.write(CLOSE_FRAME);
    const cut = setTimeout(() => this.#socket.destroy(), CLOSE_MS_MAX);
    await closed;
    clearTimeout(cut);
  }

  content(stamp: number): void {
    this.end.content(stamp);
  }

  settled(tag: number, isMultiple: boolean, isNack: boolean): void {
    this.end.settled(tag, isMultiple, isNack);
  }

  method(bytes: Uint8Array, start: number, end: number): void {
    const method = decodeMethod(bytes, start, end);
    switch (method.name) {
      case 'connection.close':
        this.send(0, 'connection.close-ok', {});
        this.#stop(this.#closedBy(method.fields.replyCode, method.fields.replyText));
        return;
      case 'connection.close-ok':
        this.#socket.end();
        return;
      case 'connection.blocked':
        this.blockedReason = printable(method.fields.reason);
        return;
      case 'connection.unblocked':
        this.blockedReason = undefined;
        return;
      case 'channel.close':
        this.send(CHANNEL, 'channel.close-ok', {});
        this.#channelClosed(method.fields.replyCode, printable(method.fields.replyText));
        return;
      case 'basic.cancel':
        this.#stop(new CliError(ExitCode.Failure, 'the broker cancelled a consumer', 'was its queue deleted meanwhile?'));
        return;
      default:
        this.#reply(method);
    }
  }

  #reply(method: Method): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#stop(new CliError(ExitCode.Failure, `the broker sent ${method.name}, which nobody asked for`));
    waiting?.resolve(method);
  }

  async #answer<Name extends MethodName>(name: Name): Promise<Named<Name>> {
    if (this.#failure !== undefined) throw this.#failure;
    const method = await new Promise<Method>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    if (!isNamed(method, name)) throw new CliError(ExitCode.Failure, `the broker sent ${method.name} in place of ${name}`);
    return method;
  }

  #read(bytes: Buffer, size: number): void {
    if (this.#firstByte < 0 && size > 0) this.#firstByte = bytes[0] as number;
    if (this.#failure !== undefined) return;
    try {
      if (!this.#isOpen) this.#checkSpeaksAmqp(bytes, size);
      this.#walk.walk(bytes, 0, size);
      this.end.chunkRead();
    } catch (error) {
      this.#stop(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** A broker begins with a method frame; one that wants another version with AMQP and its own; a web server with anything. */
  #checkSpeaksAmqp(bytes: Buffer, size: number): void {
    if (this.#firstByte === 1) return;
    const { shown } = this.#address;
    const said = printable(decodeUtf8Loosely(bytes, 0, Math.min(size, 40)).split(/\r?\n/)[0] ?? '');
    const what = this.#firstByte === 'A'.charCodeAt(0) ? 'speaks another version of AMQP' : `is no AMQP broker: it says ${said}`;
    throw new CliError(ExitCode.Failure, `what listens at ${shown} ${what}`, 'the port of AMQP 0-9-1 is 5672, or 5671 with amqps://');
  }

  #channelClosed(code: number, text: string): void {
    const error = new ChannelClosed(code, text);
    if (this.#waiting.length === 0) this.#stop(error);
    else this.#rejectWaiting(error);
  }

  #closedBy(code: number, text: string): CliError {
    const said = printable(text);
    if (!this.#isOpen && code === 403) return new CliError(ExitCode.LoginRefused, said, this.#loginHint());
    if (!this.#isOpen)
      return new CliError(ExitCode.Failure, said, `is there a vhost '${printable(this.#address.vhost)}'? --vhost names another`);
    return new CliError(ExitCode.Failure, `the broker closed the connection: ${code} ${said}`);
  }

  #loginHint(): string {
    return `user and password go into --url amqp://user:password@..., and '${printable(this.#address.user)}' was tried`;
  }

  #timedOut(): void {
    this.#stop(new CliError(ExitCode.Timeout, `nothing from ${this.#address.shown} within ${OPEN_MS_MAX / 1_000} s`));
  }

  #lost(error: NodeJS.ErrnoException | undefined): void {
    const { shown } = this.#address;
    if (this.#isOpen) {
      this.#stop(
        new CliError(ExitCode.Unreachable, `the connection to ${shown} was lost${error === undefined ? '' : `: ${error.message}`}`),
      );
    } else if (error !== undefined) {
      const hint = `is a broker listening there? Start one with: leveret start --amqp-port 5672`;
      this.#stop(new CliError(ExitCode.Unreachable, `no broker at ${shown}: ${error.message}`, hint));
    } else {
      // Brokers without authentication_failure_close answer a wrong password so.
      this.#stop(new CliError(ExitCode.LoginRefused, `${shown} closed the connection before the login was through`, this.#loginHint()));
    }
  }

  #stop(error: Error): void {
    if (this.#failure !== undefined || (this.#isClosing && this.#isOpen)) return;
    this.#failure = error;
    this.#socket.setTimeout(0);
    this.#socket.destroySoon();
    this.#rejectWaiting(error);
    this.#fail(error);
  }

  #rejectWaiting(error: Error): void {
    for (let waiting = this.#waiting.shift(); waiting !== undefined; waiting = this.#waiting.shift()) waiting.reject(error);
  }
}

/** The broker refused what was asked of the channel. */
export class ChannelClosed extends CliError {
  readonly code: number;

  constructor(code: number, text: string) {
    super(ExitCode.Failure, `${code} ${text}`);
    this.name = 'ChannelClosed';
    this.code = code;
  }
}

type Named<Name extends MethodName> = Extract<Method, { readonly name: Name }>;

function isNamed<Name extends MethodName>(method: Method, name: Name): method is Named<Name> {
  return method.name === name;
}

function brokerName(properties: FieldTable): string {
  const [product, version] = ['product', 'version'].map((name) => properties.get(name));
  return printable([product, version].filter((each) => typeof each === 'string').join(' '));
}
