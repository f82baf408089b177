// Every route of the API. Always: OpenAPI and the test of who may do what are made of this list. Refuses: to do anything.

import type { Route } from '../route.ts';
import { definitionRoutes } from './definitions.ts';
import { healthRoutes } from './health.ts';
import { messageRoutes } from './messages.ts';
import { operationRoutes } from './operations.ts';
import { parameterRoutes } from './parameters.ts';
import { policyRoutes } from './policies.ts';
import { scriptRoutes } from './scripts.ts';
import { topologyRoutes } from './topology.ts';
import { userRoutes } from './users.ts';
import { vhostRoutes } from './vhosts.ts';

export const routes: readonly Route[] = [
  ...operationRoutes,
  ...healthRoutes,
  ...vhostRoutes,
  ...userRoutes,
  ...policyRoutes,
  ...parameterRoutes,
  ...topologyRoutes,
  ...messageRoutes,
  ...definitionRoutes,
  ...scriptRoutes,
];
