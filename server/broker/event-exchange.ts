// The exchange amq.rabbitmq.event of vhost '/', as the place where events go. Always: while nothing is bound to it, it is closed, and no event is made for it.
// Refuses: to route (internal-publisher.ts).

import type { Broker } from './broker.ts';
import type { EventOutlet } from './events.ts';
import { EVENT_EXCHANGE } from './predeclared.ts';
import { DEFAULT_VHOST } from './vhosts.ts';

export function eventExchange(broker: Broker): EventOutlet {
  return {
    isOpen: () => broker.internal.hasListeners(broker.vhosts.get(DEFAULT_VHOST), EVENT_EXCHANGE),
    send: (key, properties, body) => {
      const vhost = broker.vhosts.get(DEFAULT_VHOST);
      if (vhost !== undefined) broker.internal.publish(vhost, EVENT_EXCHANGE, key, properties, body);
    },
  };
}
