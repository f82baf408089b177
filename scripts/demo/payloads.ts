// The demo's real input: the GitHub webhook payloads of the package @octokit/webhooks-examples, made into messages.
// Always: (1) the same package gives the same webhooks in the same order; (2) a routing key is `<event>.<action>`, with `none` for an event
// that has no action, so that every key has two words; (3) a body is the payload as it was published by GitHub's documentation, untouched.
// Refuses: a package whose shape it does not know; it says which entry surprised it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** What a webhook is about; a header of its message, and what decides which service publishes it. */
export type Area = 'ci' | 'security' | 'review' | 'planning' | 'people' | 'code';

export interface Webhook {
  readonly event: string;
  readonly action: string;
  readonly key: string;
  readonly area: Area;
  readonly priority: number;
  readonly headers: Readonly<Record<string, string | boolean>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

const NO_ACTION = 'none';

// The first pattern that fits an event decides.
const AREAS: readonly (readonly [RegExp, Area])[] = [
  [/^(check_|workflow_|status$|deployment)/, 'ci'],
  [/(_alert$|^security_|^branch_protection|^deploy_key)/, 'security'],
  [/^(pull_request|commit_comment)/, 'review'],
  [/^(issue|label|milestone|project|discussion)/, 'planning'],
  [/^(member|org|team|sponsorship|star|watch|installation|marketplace|github_app)/, 'people'],
];

// Somebody waits for these; all else is priority 0.
const PRIORITIES: ReadonlyMap<string, number> = new Map([
  ['pull_request.review_requested', 9],
  ['pull_request.ready_for_review', 9],
  ['pull_request.opened', 5],
  ['pull_request_review.submitted', 5],
]);

/** All example payloads, in the package's order. */
export function readWebhooks(): Webhook[] {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples');
  return parseWebhooks(JSON.parse(readFileSync(path, 'utf8')));
}

/** Webhooks of the package's JSON: an array of `{name, examples: [payload, ...]}`. */
export function parseWebhooks(definitions: unknown): Webhook[] {
  if (!Array.isArray(definitions)) throw new Error('@octokit/webhooks-examples is not an array of events');
  return definitions.flatMap((definition: unknown, index) => {
    if (!isRecord(definition) || typeof definition['name'] !== 'string' || !Array.isArray(definition['examples'])) {
      throw new Error(`@octokit/webhooks-examples: entry ${index} has no name or no examples`);
    }
    const event = definition['name'];
    return definition['examples'].map((payload: unknown) => {
      if (!isRecord(payload)) throw new Error(`@octokit/webhooks-examples: an example of '${event}' is not an object`);
      return webhookOf(event, payload);
    });
  });
}

function webhookOf(event: string, payload: Record<string, unknown>): Webhook {
  const action = typeof payload['action'] === 'string' ? payload['action'] : NO_ACTION;
  const key = `${event}.${action}`;
  const area = AREAS.find(([pattern]) => pattern.test(event))?.[1] ?? 'code';
  const { sender, repository } = payload;
  const headers = {
    event,
    action,
    area,
    sender: isRecord(sender) && typeof sender['type'] === 'string' ? sender['type'] : 'nobody',
    private: isRecord(repository) && repository['private'] === true,
  };
  return { event, action, key, area, priority: PRIORITIES.get(key) ?? 0, headers, payload };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
