// The phases of an AMQP connection, and which may follow which. connection.ts draws them; handshake.ts says what each asks of the client.
// Always: Closed is the end.

export const Phase = { Header: 0, Start: 1, Refused: 2, Tune: 3, Opening: 4, Open: 5, Closing: 6, Closed: 7 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

export const edges: { readonly [From in Phase]: readonly Phase[] } = {
  [Phase.Header]: [Phase.Start, Phase.Closing, Phase.Closed],
  [Phase.Start]: [Phase.Refused, Phase.Tune, Phase.Closing, Phase.Closed],
  [Phase.Refused]: [Phase.Closing, Phase.Closed],
  [Phase.Tune]: [Phase.Opening, Phase.Closing, Phase.Closed],
  [Phase.Opening]: [Phase.Open, Phase.Closing, Phase.Closed],
  [Phase.Open]: [Phase.Closing, Phase.Closed],
  [Phase.Closing]: [Phase.Closed],
  [Phase.Closed]: [],
};

/** As RabbitMQ calls the phases in which a method may come at the wrong time. */
export const phaseNames: { readonly [Each in Phase]?: string } = {
  [Phase.Start]: 'starting',
  [Phase.Tune]: 'tuning',
  [Phase.Opening]: 'opening',
  [Phase.Open]: 'running',
};
