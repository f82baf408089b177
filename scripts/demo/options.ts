// The flags of the demo: what they are, what they default to, and what a wrong one is told.

import { parseArgs } from 'node:util';

export const USAGE = `npm run demo -- [options]
  --url URL        the broker (ws://127.0.0.1:15672/ws)
  --messages N     how many webhooks to publish (3290: ten rounds of the 329 examples)
  --rate N         how many a second (330)
  --seed N         which failures and which order (1)
  --journals DIR   keep what the client processes write down, in an empty directory
  --page           serve the example page, which watches the broker live, until Ctrl-C
  --json           the result as one JSON object`;

export interface Options {
  readonly url: string;
  readonly messages: number;
  readonly perSecond: number;
  readonly seed: number;
  readonly journals: string | undefined;
  readonly page: boolean;
  readonly json: boolean;
}

export class UsageError extends Error {}

// Ten million webhooks are nine hours at the standard rate.
const NUMBER_MAX = 10_000_000;

/** Undefined: the user asked for help. */
export function readOptions(args: readonly string[]): Options | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  if (!/^wss?:\/\//.test(values.url)) throw new UsageError(`--url ${values.url}: an address like ws://127.0.0.1:15672/ws is wanted`);
  return {
    url: values.url,
    messages: positive('--messages', values.messages),
    perSecond: positive('--rate', values.rate),
    seed: positive('--seed', values.seed),
    journals: values.journals,
    page: values.page,
    json: values.json,
  };
}

function parse(args: readonly string[]) {
  const options = {
    url: { type: 'string', default: 'ws://127.0.0.1:15672/ws' },
    messages: { type: 'string', default: '3290' },
    rate: { type: 'string', default: '330' },
    seed: { type: 'string', default: '1' },
    journals: { type: 'string' },
    page: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function positive(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= NUMBER_MAX) return number;
  throw new UsageError(`${flag} ${text}: a whole number from 1 to ${NUMBER_MAX} is wanted`);
}
