// Debian's rabbitmq-server as a process of its own: the oracle of the differential tests, the yardstick of the benchmarks.
// Always: (1) its ports, node name, data and Erlang port mapper are its own, so that several may run and none meets one of the machine's; (2) `stop`
// ends all of it, the port mapper too, and removes its files; (3) one that does not come up is an error with what it wrote.
// Refuses to install it: system-packages.ts does.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Not the wrapper on the PATH, which changes to a user of its own.
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;

export interface RabbitMqOptions {
  /** Lines of rabbitmq.conf. */
  readonly config?: readonly string[];
  /** Such as rabbitmq_management. */
  readonly plugins?: readonly string[];
  /** Where its files go; the system's temporary directory unless given. */
  readonly directory?: string;
}

export function hasRabbitMq(): boolean {
  return existsSync(SERVER);
}

export class RabbitMq {
  readonly port: number;
  /** Of the management plugin, where it is on. */
  readonly managementPort: number;
  /** amqp://guest:guest@127.0.0.1:port */
  readonly url: string;
  readonly process: ChildProcess;
  readonly #folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(port: number, managementPort: number, folder: string, environment: NodeJS.ProcessEnv) {
    this.port = port;
    this.managementPort = managementPort;
    this.url = `amqp://guest:guest@127.0.0.1:${port}`;
    this.#folder = folder;
    this.#environment = environment;
    // A group of its own, so that `stop` reaches the shells and Erlang's helpers too.
    this.process = spawn(SERVER, [], { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  static async start({ config = [], plugins = [], directory = tmpdir() }: RabbitMqOptions = {}): Promise<RabbitMq> {
    const folder = mkdtempSync(join(directory, 'leveret-rabbitmq-'));
    const [port, distributionPort, mapperPort, managementPort] = await freePorts(4);
    const management = plugins.includes('rabbitmq_management')
      ? ['management.tcp.ip = 127.0.0.1', `management.tcp.port = ${managementPort}`]
      : [];
    const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, 'log.console = false', ...management, ...config, ''];
    writeFileSync(join(folder, 'rabbitmq.conf'), lines.join('\n'));
    writeFileSync(join(folder, 'enabled_plugins'), `[${plugins.join(',')}].\n`);
    const broker = new RabbitMq(Number(port), Number(managementPort), folder, {
      ...process.env,
      HOME: folder,
      RABBITMQ_NODENAME: `leveret-${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distributionPort),
      ERL_EPMD_PORT: String(mapperPort),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_PID_FILE: join(folder, 'pid'),
    });
    try {
      await broker.#ready();
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  /** Resident bytes of the Erlang process. */
  get residentBytes(): number {
    const pid = readFileSync(join(this.#folder, 'pid'), 'utf8').trim();
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    return pages * 4096;
  }

  /** What `rabbitmqctl` prints, without its headings. */
  control(...words: string[]): string {
    const { status, stdout, stderr } = spawnSync(CONTROL, ['--quiet', ...words], { env: this.#environment, encoding: 'utf8' });
    if (status !== 0) throw new Error(`rabbitmqctl ${words.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  }

  async stop(): Promise<void> {
    const { pid } = this.process;
    if (pid !== undefined && this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, 'exit');
      const cut = setTimeout(() => kill(pid, 'SIGKILL'), STOP_MS_MAX);
      kill(pid, 'SIGTERM');
      await ended;
      clearTimeout(cut);
    }
    if (pid !== undefined) kill(pid, 'SIGKILL'); // what is left of its group
    spawnSync('epmd', ['-kill'], { env: this.#environment, stdio: 'ignore' });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      let written = '';
      const timer = setTimeout(() => fail(`not ready after ${READY_MS_MAX} ms`), READY_MS_MAX);
      const fail = (why: string): void => {
        clearTimeout(timer);
        reject(new Error(`rabbitmq-server: ${why}\n${written}`));
      };
      const read = (chunk: Buffer): void => {
        written += chunk.toString();
        if (!/completed with \d+ plugins/.test(written)) return;
        clearTimeout(timer);
        resolve();
      };
      this.process.stdout?.on('data', read);
      this.process.stderr?.on('data', read);
      this.process.once('error', (error) => fail(error.message));
      this.process.once('exit', (code) => fail(`ended with ${code} before it was ready`));
    });
  }
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error; // all of it is gone
  }
}

/** Ports that nobody listened on a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
