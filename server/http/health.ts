// Whether the server is there: for load balancers, containers and scripts. /livez: does it turn? /readyz: should clients come? /startupz: has it started?
// Always: (1) it answers at once and changes nothing; (2) 200, or 503 with the reasons; (3) /health is 200 as long as anybody answers at all; (4) an alarm
// makes nobody unready: consumers that are kept away cannot end it.
// Refuses: details. Who may see it is everybody.

export type Phase = 'starting' | 'running' | 'draining' | 'failed';

export interface HealthAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly pieces: readonly string[];
}

/** Undefined: the path asks something else. */
export function healthAnswer(path: string, phase: Phase): HealthAnswer | undefined {
  if (path === '/health') return answer([]);
  if (path === '/livez') return answer(phase === 'failed' ? ['the message log has failed'] : []);
  if (path === '/startupz') return answer(phase === 'starting' ? ['starting'] : []);
  if (path === '/readyz') return answer(unready(phase));
  return undefined;
}

function unready(phase: Phase): readonly string[] {
  if (phase === 'failed') return ['the message log has failed'];
  return phase === 'running' ? [] : [phase];
}

function answer(reasons: readonly string[]): HealthAnswer {
  const body = reasons.length === 0 ? { status: 'ok' } : { status: 'unavailable', reasons };
  return { status: reasons.length === 0 ? 200 : 503, contentType: 'application/json', pieces: [`${JSON.stringify(body)}\n`] };
}
