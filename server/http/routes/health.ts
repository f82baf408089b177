// Health checks by RabbitMQ's names: 200 when all is well, 503 and why when not.
// Always: a check changes nothing. Refuses: what only a cluster can be: one node is critical for nothing.

import { NODE } from '../../broker/names.ts';
import { badRequest } from '../http-error.ts';
import { type Call, Reply, type Route } from '../route.ts';

const OK = { status: 'ok' };
const failed = (reason: string, more: object): Reply => new Reply(503, { status: 'failed', reason, ...more });

function alarms({ broker }: Call): Reply {
  if (!broker.isBlocked) return new Reply(200, OK);
  const { reason } = broker.alarms;
  const standing = ['memory', 'disk'].filter((resource) => reason.includes(resource)).map((resource) => ({ node: NODE, resource }));
  return failed('There are alarms in effect', { alarms: standing });
}

function portListener({ facts, path }: Call): Reply {
  const port = Number(path['port']);
  const ports = facts.listeners().map((each) => each.port);
  if (!Number.isInteger(port)) throw badRequest('Invalid port');
  return ports.includes(port) ? new Reply(200, { ...OK, port }) : failed('No active listener', { missing: port, ports });
}

function protocolListener({ facts, path }: Call): Reply {
  const { protocol = '' } = path;
  const protocols = facts.listeners().map((each) => each.protocol);
  const asked = protocol === 'amqp091' || protocol === 'amqp0.9.1' ? 'amqp' : protocol;
  return protocols.includes(asked) ? new Reply(200, { ...OK, protocol }) : failed('No active listener', { missing: protocol, protocols });
}

const DAY_MS = 86_400_000;
/** RabbitMQ's units. */
const UNITS: Readonly<Record<string, number>> = { days: DAY_MS, weeks: 7 * DAY_MS, months: 30 * DAY_MS, years: 365 * DAY_MS };

function certificates({ broker, facts, path }: Call): Reply {
  const { within = '', unit = '' } = path;
  const unitMs = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  if (unitMs === undefined) throw badRequest('Time unit not recognised. Supported units: days, weeks, months, years.');
  if (!/^\d{1,6}$/.test(within)) throw badRequest("'within' must be a whole number");
  const until = broker.clock.now() + Number(within) * unitMs;
  const expired = facts
    .listeners()
    .flatMap(({ protocol, host, port, certificateEnds: ends }) =>
      ends === undefined || ends.at > until
        ? []
        : [{ node: NODE, protocol, interface: host, port: String(port), certfile_expires_on: ends.text }],
    );
  return expired.length === 0 ? new Reply(200, OK) : failed('Certificates expiring', { expired });
}

const CHECKS = '/api/health/checks';
const check = { tag: 'management', right: 'none', method: 'GET' } as const;
const alone = (): Reply => new Reply(200, { ...OK, reason: 'single node cluster' });

export const healthRoutes: readonly Route[] = [
  { ...check, path: `${CHECKS}/alarms`, summary: '503 while publishers are held back', handle: alarms },
  { ...check, path: `${CHECKS}/local-alarms`, summary: '503 while publishers are held back', handle: alarms },
  {
    ...check,
    path: `${CHECKS}/certificate-expiration/{within}/{unit}`,
    summary: '503 when a certificate ends within so many days, weeks, months or years',
    handle: certificates,
  },
  { ...check, path: `${CHECKS}/virtual-hosts`, summary: '200: every vhost runs', handle: () => new Reply(200, OK) },
  { ...check, path: `${CHECKS}/port-listener/{port}`, summary: '503 unless somebody listens there', handle: portListener },
  { ...check, path: `${CHECKS}/protocol-listener/{protocol}`, summary: '503 unless somebody listens for it', handle: protocolListener },
  { ...check, path: `${CHECKS}/node-is-mirror-sync-critical`, summary: '200: there is one node', handle: alone },
  { ...check, path: `${CHECKS}/node-is-quorum-critical`, summary: '200: there is one node', handle: alone },
];
