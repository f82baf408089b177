// The programs outside npm that some tests drive, and how they get onto a machine.
// Always: (1) nothing is installed that is already on the PATH; (2) only root on a Debian-like system is offered apt; (3) what could
// not be had is said in one line, and the tests that need it skip themselves with that reason (with CI=true a skip is a failure).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

interface SystemPackage {
  /** Any of these shows that it is there: commands on the PATH, or files. */
  readonly commands: readonly string[];
  readonly debian: string;
  readonly neededBy: string;
}

const PACKAGES: readonly SystemPackage[] = [
  { commands: ['chromium', 'chromium-browser', 'google-chrome'], debian: 'chromium', neededBy: 'test/browser' },
  { commands: ['rabbitmq-server'], debian: 'rabbitmq-server', neededBy: 'test/conformance and the benchmarks against RabbitMQ' },
  { commands: ['promtool'], debian: 'prometheus', neededBy: 'test/conformance/metrics.test.ts' },
  { commands: ['amqp-publish'], debian: 'amqp-tools', neededBy: 'test/conformance' },
  // comes with the kombu it was made for; a celery on the PATH may be another Python's
  { commands: ['/usr/lib/python3/dist-packages/celery'], debian: 'celery', neededBy: 'test/conformance' },
  { commands: ['/usr/lib/python3/dist-packages/pika'], debian: 'python3-pika', neededBy: 'test/conformance' },
];

/** Installs what is missing where that is possible. Returns lines to print: one per package that was missing. */
export function installSystemPackages(): string[] {
  const missing = PACKAGES.filter((wanted) => findCommand(wanted.commands) === undefined);
  if (missing.length === 0) return [];
  const obstacle = whyNot();
  if (obstacle !== undefined)
    return missing.map((wanted) => `${wanted.debian} is not installed (needed by ${wanted.neededBy}): ${obstacle}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // The lists may be empty (container images ship without) or fresh; one update is cheap next to the install.
  spawnSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 'ignore', 'inherit'], env });
  return missing.map((wanted) => install(wanted, env));
}

/** The full path of the first of these that is there: a command on the PATH, or a file. */
export function findCommand(commands: readonly string[]): string | undefined {
  for (const command of commands) {
    if (command.startsWith('/') && existsSync(command)) return command;
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      const path = join(folder, command);
      if (folder !== '' && existsSync(path)) return path;
    }
  }
  return undefined;
}

function whyNot(): string | undefined {
  if (findCommand(['apt-get']) === undefined) return 'there is no apt-get here';
  if (process.getuid?.() !== 0) return 'only root may install it';
  return undefined;
}

function install(wanted: SystemPackage, env: NodeJS.ProcessEnv): string {
  const { status } = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', wanted.debian], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  return status === 0
    ? `installed ${wanted.debian} for ${wanted.neededBy}`
    : `apt-get could not install ${wanted.debian} (status ${status})`;
}
